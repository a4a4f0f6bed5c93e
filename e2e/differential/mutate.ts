/** Random changes of an object along its kind's schema: fields set to values that are good, odd or wrong, removed, doubled, unknown. */
import { fieldOf, resolve, type Schema, typeOf } from "#sdk/api/facts.ts";
import type { Json, JsonObject } from "#sdk/api/object.ts";
import { Random } from "../support/random.ts";

export { Random };

const WORDS = [
  "a",
  "b-1",
  "",
  "A_b",
  "a.b",
  "-a",
  "a/b",
  "example.org/x",
  "x".repeat(64),
  "10",
  "50%",
  "150%",
  "1.2.3.4",
  "::1",
  "10.0.0.0/8",
  "TCP",
  "UDP",
  "SCTP",
  "Always",
  "Never",
  "OnFailure",
  "None",
  "ClusterIP",
  "NodePort",
  "Exists",
  "In",
  "NoSchedule",
  "NoExecute",
  "Recreate",
  "RollingUpdate",
  "OnDelete",
  "Delete",
  "Retain",
  "Local",
  "Cluster",
  "Fail",
  "Ignore",
  "Equivalent",
  "ReadWriteOnce",
  "Block",
  "Filesystem",
  "WaitForFirstConsumer",
  "Immediate",
  "kubernetes.io/hostname",
  "https://example.org/",
  "/tmp/x",
  "../x",
  "y z",
  "Ü",
] as const;
const QUANTITIES = ["0", "1", "100m", "1Gi", "-1", "1e3", "abc", "1.5", "999999999999Ti"] as const;
const NUMBERS = [0, 1, 2, 7, 80, 100, 30000, 65535, 65536, 70000, -1, -5, 2147483647] as const;
const TIMES = ["2026-01-01T00:00:00Z", "2026-01-01T00:00:00.123456Z", "yesterday"] as const;

/** A value for a field: mostly of its type, sometimes not. */
export function valueFor(random: Random, schema: Schema, depth = 0): Json {
  const s = resolve(schema);
  if (random.below(25) === 0) return random.pick<Json>(["text", 3, true, null, [], {}]);
  if (s.format === "quantity") return random.pick(QUANTITIES);
  if (s.format === "int-or-string") return random.below(2) ? random.pick(NUMBERS) : random.pick(WORDS);
  if (s.format === "date-time" || s.format === "micro-time") return random.pick(TIMES);
  if (s.format === "raw") return { a: 1 };
  if (s.format === "byte") return random.pick(["eA==", "!", ""]);
  if (s.type === "string") return random.pick(WORDS);
  if (s.type === "integer" || s.type === "number") return random.pick(NUMBERS);
  if (s.type === "boolean") return random.below(2) === 0;
  if (s.type === "array")
    return Array.from({ length: 1 + random.below(2) }, () => valueFor(random, s.items ?? {}, depth + 1));
  if (s.values) return { [random.pick(WORDS)]: valueFor(random, s.values, depth + 1) };
  const fields = Object.keys(s.properties ?? {});
  if (fields.length === 0 || depth > 5) return {};
  const chosen = new Set([
    ...(s.required ?? []),
    random.pick(fields),
    ...(random.below(2) ? [random.pick(fields)] : []),
  ]);
  return Object.fromEntries([...chosen].map((name) => [name, valueFor(random, fieldOf(s, name) ?? {}, depth + 1)]));
}

/** Changes one place of `object`, which belongs to this schema, somewhere below what is there. */
function mutateAt(random: Random, object: JsonObject, schema: Schema): void {
  const s = resolve(schema);
  const fields = Object.keys(s.properties ?? {}).filter(
    (name) => name !== "status" && name !== "kind" && name !== "apiVersion",
  );
  // In an order of their own: two servers need not write the fields of an object in the same one.
  const names = Object.keys(object).sort();
  const present = names.filter((name) => typeof object[name] === "object" && object[name] !== null);
  const into = present.filter((name) => fields.includes(name));
  if (into.length > 0 && random.below(4) > 0) {
    const name = random.pick(into);
    const child = object[name] as JsonObject | Json[];
    const childSchema = fieldOf(s, name) ?? {};
    const target = Array.isArray(child) ? child[random.below(Math.max(child.length, 1))] : child;
    const targetSchema = Array.isArray(child) ? (resolve(childSchema).items ?? {}) : childSchema;
    if (target && typeof target === "object" && !Array.isArray(target) && resolve(targetSchema).properties) {
      mutateAt(random, target as JsonObject, targetSchema);
      return;
    }
  }
  const kind = random.below(20);
  if (kind === 0) object["unheardOf"] = 1;
  else if (kind <= 2 && names.length > 0) delete object[random.pick(names)];
  else if (fields.length > 0) {
    const name = random.pick(fields);
    object[name] = valueFor(random, fieldOf(s, name) ?? {});
  }
}

/** What a client does not choose, and what would make the two sides' names differ. */
const KEPT = [
  "name",
  "namespace",
  "uid",
  "resourceVersion",
  "creationTimestamp",
  "managedFields",
  "generation",
  "selfLink",
  "deletionTimestamp",
];

export function mutated(
  random: Random,
  gvk: { group: string; version: string; kind: string },
  object: JsonObject,
  times: number,
): JsonObject {
  const schema = typeOf(gvk);
  if (!schema) throw new Error(`the facts do not know ${gvk.kind}`);
  const copy = structuredClone(object);
  const { metadata, kind, apiVersion } = structuredClone(object);
  for (let i = 0; i < times; i++) mutateAt(random, copy, schema);
  // Metadata's own rules are exercised by labels, annotations, finalizers and owners.
  const changed =
    typeof copy["metadata"] === "object" && copy["metadata"] !== null && !Array.isArray(copy["metadata"])
      ? copy["metadata"]
      : {};
  const kept = Object.fromEntries(
    KEPT.flatMap((name) =>
      (metadata as JsonObject)?.[name] === undefined ? [] : [[name, (metadata as JsonObject)[name] ?? null]],
    ),
  );
  const free = Object.fromEntries(
    Object.entries(changed).filter(([name]) => !KEPT.includes(name) && name !== "generateName"),
  );
  return { ...copy, kind: kind ?? null, apiVersion: apiVersion ?? null, metadata: { ...free, ...kept } };
}
