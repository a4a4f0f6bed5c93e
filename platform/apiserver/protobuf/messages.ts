/** The compact form of protobuf messages, and the generated data. */
import { readFileSync } from "node:fs";

/** JSON name ("" for an embedded struct), type (a scalar, a message, or "map:" and the values' type; keys are strings), 1 when repeated. */
export type FieldCode = [name: string, type: string, repeated?: 1];

/** Message → field number → field. */
export type Messages = Record<string, Record<string, FieldCode>>;

let loaded: Messages | undefined;

/** Read on first use. */
export function messages(): Readonly<Messages> {
  loaded ??= JSON.parse(readFileSync(new URL("./messages.generated.json", import.meta.url), "utf8")) as Messages;
  return loaded;
}
