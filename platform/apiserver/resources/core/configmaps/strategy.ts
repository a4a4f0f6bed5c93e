/** ConfigMaps. */
import type { ConfigMap } from "#sdk/api/generated/types.ts";
import { isConfigMapKey } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, forbiddenField, invalidValue, tooLongValue } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as, sorted } from "../../as.ts";

export const DATA_MAX_BYTES = 1024 * 1024;

/** Keys, sizes and doubles of data and binaryData; shared with secrets, whose values come in base64. */
export function validateData(
  text: Record<string, string> | undefined,
  binary: Record<string, string> | undefined,
  binaryField: string,
): Causes {
  const causes: Causes = [];
  let bytes = 0;
  for (const [key, value] of Object.entries(text ?? {})) {
    for (const m of isConfigMapKey(key)) causes.push(invalidValue(`data[${key}]`, key, m));
    if (binary && Object.hasOwn(binary, key)) {
      causes.push(invalidValue(`data[${key}]`, key, `duplicate of key present in ${binaryField}`));
    }
    bytes += Buffer.byteLength(value);
  }
  for (const [key, value] of Object.entries(binary ?? {})) {
    for (const m of isConfigMapKey(key)) causes.push(invalidValue(`${binaryField}[${key}]`, key, m));
    bytes += Buffer.byteLength(value, "base64");
  }
  if (bytes > DATA_MAX_BYTES) causes.push(tooLongValue(binaryField === "data" ? "data" : "", DATA_MAX_BYTES));
  return causes;
}

const same = (a: unknown, b: unknown) => JSON.stringify(sorted(a ?? {})) === JSON.stringify(sorted(b ?? {}));
const FROZEN = "field is immutable when `immutable` is set";

/** What may not change any more once `immutable` is set. */
export function validateImmutable<T extends { immutable?: boolean }>(
  next: T,
  old: T,
  fields: readonly (keyof T & string)[],
): Causes {
  if (!old.immutable) return [];
  const causes: Causes = next.immutable ? [] : [forbiddenField("immutable", FROZEN)];
  for (const field of fields) if (!same(next[field], old[field])) causes.push(forbiddenField(field, FROZEN));
  return causes;
}

const validate = (map: ConfigMap): Causes => validateData(map.data, map.binaryData, "binaryData");

export const configMapStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    validate: (object) => validate(as<ConfigMap>(object)),
    validateUpdate: (next, old) => [
      ...validateImmutable(as<ConfigMap>(next), as<ConfigMap>(old), ["data", "binaryData"]),
      ...validate(as<ConfigMap>(next)),
    ],
  });
