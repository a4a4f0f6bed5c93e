/** What types and fields are for; built on this machine (generate/descriptions.ts), and empty where that was not done. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

export const DESCRIPTIONS_FILE = fileURLToPath(new URL("./dist/descriptions.json", import.meta.url));

export interface Descriptions {
  /** What it was built from. */
  source: string;
  /** By definition, then by field; "" is the type itself. */
  definitions: Record<string, Record<string, string>>;
}

/** The source says nothing of fields that are objects of their own. */
const METADATA = "Standard object's metadata: what names and labels it, and what the server keeps of it.";

let loaded: Descriptions["definitions"] | undefined;

/** Of a type, or of one of its fields. */
export function descriptionOf(definition: string, field = ""): string | undefined {
  loaded ??= existsSync(DESCRIPTIONS_FILE)
    ? (JSON.parse(readFileSync(DESCRIPTIONS_FILE, "utf8")) as Descriptions).definitions
    : {};
  const known = loaded[definition];
  return known?.[field] ?? (known && field === "metadata" ? METADATA : undefined);
}
