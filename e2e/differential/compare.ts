/** Replies of two servers, with what must differ taken out. */
import type { Json } from "#sdk/api/object.ts";

import { dumps } from "./known.ts";

export interface Reply {
  code: number;
  body: unknown;
}

const VOLATILE = new Set([
  "uid",
  "resourceVersion",
  "creationTimestamp",
  "time",
  "deletionTimestamp",
  "lastTransitionTime",
  "clusterIP",
  "clusterIPs",
  "nodePort",
  "healthCheckNodePort",
  "selfLink",
  "age",
]);
const PATTERNS: readonly [RegExp, string][] = [
  [/\d{4}-\d\d-\d\dT[\d:.]+Z/g, "<time>"],
  [/[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}/g, "<uid>"],
  [/kube-api-access-\w{5}/g, "<token volume>"],
  [/X509SHA256=[0-9a-f]+/g, "<credential>"],
  [/\b\d{1,3}s\b/g, "<age>"],
];

const isPlain = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

const replaced = (text: string): string =>
  PATTERNS.reduce((changed, [pattern, name]) => changed.replace(pattern, name), text);

export function named(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(named);
  if (isPlain(value))
    return Object.fromEntries(
      Object.entries(value).map(([key, v]) => [
        // An entry of a list is owned by its key, which may be a name that the server made up.
        replaced(key),
        VOLATILE.has(key) && v && v !== "None" ? `<${key}>` : key === "managedFields" ? byManager(named(v)) : named(v),
      ]),
    );
  return typeof value === "string" ? replaced(documentsSorted(mistakesSorted(value))) : value;
}

/** Entries stand in the order of their times, which are whole seconds: two servers need not count the same. */
function byManager(fields: unknown): unknown {
  if (!Array.isArray(fields)) return fields;
  const keyOf = (entry: unknown) =>
    isPlain(entry) ? `${entry["manager"]} ${entry["operation"]} ${entry["subresource"]}` : "";
  return [...fields].sort((a, b) => (keyOf(a) < keyOf(b) ? -1 : 1));
}

const sorted = (value: unknown): unknown =>
  Array.isArray(value)
    ? value.map(sorted)
    : isPlain(value)
      ? Object.fromEntries(
          Object.keys(value)
            .sort()
            .map((key) => [key, sorted(value[key])]),
        )
      : value;

/** What does not fit an applied configuration's type is told of in the order of Go's maps. */
const mistakesSorted = (text: string): string =>
  text.replace(/errors:(\n {2}[^\n]*)+/, (all) => {
    const [head, ...lines] = all.split("\n");
    return [head, ...lines.sort()].join("\n");
  });

/** Where a message quotes a whole document, its fields stand in the order in which the server keeps them. */
function documentsSorted(text: string): string {
  return text.replace(/Invalid value: ("\{(?:[^"\\]|\\.)*\}")/g, (all, quoted: string) => {
    try {
      const document = named(JSON.parse(JSON.parse(quoted) as string));
      return `Invalid value: ${JSON.stringify(JSON.stringify(sorted(document)))}`;
    } catch {
      return all; // no document after all
    }
  });
}

/** Without the parts of its message that are known to differ. */
function withoutDumps(cause: unknown): unknown {
  if (!isPlain(cause)) return cause;
  const message = dumps
    .filter(({ field }) => field.test(String(cause["field"])))
    .reduce((text, { message, cut }) => text.replace(message, cut), String(cause["message"]));
  return { ...cause, message };
}

/** Causes come in an order of Go's maps where fields are kept in them; the message joins them in the same order. */
function ordered(body: unknown): unknown {
  if (!isPlain(body) || body["kind"] !== "Status" || !isPlain(body["details"])) return body;
  const causes = body["details"]["causes"];
  if (!Array.isArray(causes)) return body;
  const sorted = causes
    .map(withoutDumps)
    .map((cause) => JSON.stringify(cause))
    .sort()
    .map((text) => JSON.parse(text) as Json);
  const [only] = causes.length === 1 ? (causes as { message?: string }[]) : [];
  const message = only
    ? String(body["message"]).replace(only.message ?? "", () => "<cause>")
    : `<${causes.length} causes>`;
  return { ...body, message, details: { ...body["details"], causes: sorted } };
}

const SHOWN_MAX = 220;

/** Two long texts from shortly before they part. */
function apart(theirs: string, ours: string): [string, string] {
  let i = 0;
  while (i < theirs.length && theirs[i] === ours[i]) i++;
  const from = Math.max(0, i - SHOWN_MAX / 4);
  return from === 0 ? [theirs, ours] : [`…${theirs.slice(from)}`, `…${ours.slice(from)}`];
}

/** Where two values differ first, and how; undefined when they agree. */
export function firstDifference(theirs: unknown, ours: unknown, path = ""): string | undefined {
  const shown = (value: unknown) =>
    value === undefined ? "absent" : (JSON.stringify(value) ?? "absent").slice(0, SHOWN_MAX);
  if (Array.isArray(theirs) && Array.isArray(ours)) {
    for (let i = 0; i < Math.max(theirs.length, ours.length); i++) {
      const difference = firstDifference(theirs[i], ours[i], `${path}[${i}]`);
      if (difference) return difference;
    }
    return undefined;
  }
  if (isPlain(theirs) && isPlain(ours)) {
    for (const key of [...new Set([...Object.keys(theirs), ...Object.keys(ours)])].sort()) {
      const difference = firstDifference(theirs[key], ours[key], `${path}.${key}`);
      if (difference) return difference;
    }
    return undefined;
  }
  if (theirs === ours) return undefined;
  const [theirText, ourText] =
    typeof theirs === "string" && typeof ours === "string" ? apart(theirs, ours) : [theirs, ours];
  return `${path || "reply"}: original ${shown(theirText)}, here ${shown(ourText)}`;
}

export function difference(theirs: Reply, ours: Reply): string | undefined {
  if (theirs.code !== ours.code) {
    const said = (reply: Reply) =>
      `${reply.code} ${isPlain(reply.body) ? String(reply.body["message"] ?? "").slice(0, 260) : ""}`;
    return `code: original ${said(theirs)}, here ${said(ours)}`;
  }
  return firstDifference(ordered(named(theirs.body)), ordered(named(ours.body)));
}
