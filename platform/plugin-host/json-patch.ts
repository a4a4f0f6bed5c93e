/**
 * JSON Patch (RFC 6902) and JSON Merge Patch (RFC 7396) as admission components answer them. Throws where the patch does not fit. What it changes is a copy, and what it does not
 * touch is shared with the object that came in: most patches change a label of an object of kilobytes.
 */
export interface Operation {
  op: string;
  path: string;
  from?: string;
  value?: unknown;
}

type Container = Record<string, unknown> | unknown[];

const parts = (pointer: string): string[] => {
  if (pointer === "") return [];
  if (!pointer.startsWith("/")) throw new Error(`${pointer} is not a JSON pointer`);
  return pointer
    .slice(1)
    .split("/")
    .map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
};

const isContainer = (value: unknown): value is Container => typeof value === "object" && value !== null;

function child(container: Container, name: string): unknown {
  if (!Array.isArray(container)) return Object.hasOwn(container, name) ? container[name] : undefined;
  return /^(0|[1-9]\d*)$/.test(name) ? container[Number(name)] : undefined;
}

/** What is changed: containers in `own` were made here, all others are somebody else's and copied before they are written to. */
interface Draft {
  root: unknown;
  own: Set<Container>;
}

function writable({ own }: Draft, container: Container): Container {
  if (own.has(container)) return container;
  const copy = Array.isArray(container) ? [...container] : { ...container };
  own.add(copy);
  return copy;
}

function split(path: string): [parents: string[], last: string] {
  const names = parts(path);
  const last = names.pop();
  if (last === undefined) throw new Error("the whole object cannot be replaced");
  if (last === "__proto__") throw new Error("__proto__ is no field");
  return [names, last];
}

const orphan = (path: string) => new Error(`there is nothing at the parent of ${path}`);

/** To be written to. */
function parentOf(draft: Draft, path: string): [Container, string] {
  const [names, last] = split(path);
  if (!isContainer(draft.root)) throw orphan(path);
  let at = writable(draft, draft.root);
  draft.root = at;
  for (const name of names) {
    const below = child(at, name);
    if (!isContainer(below)) throw orphan(path);
    const next = writable(draft, below);
    if (Array.isArray(at)) at[Number(name)] = next;
    else at[name] = next;
    at = next;
  }
  return [at, last];
}

function indexIn(list: unknown[], name: string, most: number): number {
  const index = name === "-" ? list.length : /^(0|[1-9]\d*)$/.test(name) ? Number(name) : Number.NaN;
  if (!(index <= most)) throw new Error(`${name} is no place in a list of ${list.length}`);
  return index;
}

function valueAt({ root }: Draft, path: string): unknown {
  const [names, last] = split(path);
  let at = root;
  for (const name of names) at = isContainer(at) ? child(at, name) : undefined;
  if (!isContainer(at)) throw orphan(path);
  const value = child(at, last);
  if (value === undefined) throw new Error(`there is nothing at ${path}`);
  return value;
}

function add(draft: Draft, path: string, value: unknown): void {
  const [parent, name] = parentOf(draft, path);
  if (Array.isArray(parent)) parent.splice(indexIn(parent, name, parent.length), 0, value);
  else parent[name] = value;
}

function remove(draft: Draft, path: string): void {
  valueAt(draft, path);
  const [parent, name] = parentOf(draft, path);
  if (Array.isArray(parent)) parent.splice(indexIn(parent, name, parent.length - 1), 1);
  else delete parent[name];
}

function apply(draft: Draft, operation: Operation): void {
  const { op, path, from = "", value } = operation;
  switch (op) {
    case "add":
      add(draft, path, value);
      break;
    case "remove":
      remove(draft, path);
      break;
    case "replace":
      remove(draft, path);
      add(draft, path, value);
      break;
    case "move": {
      const moved = valueAt(draft, from);
      remove(draft, from);
      add(draft, path, moved);
      break;
    }
    case "copy":
      add(draft, path, structuredClone(valueAt(draft, from)));
      break;
    case "test":
      if (JSON.stringify(valueAt(draft, path)) !== JSON.stringify(value)) throw new Error(`the test at ${path} failed`);
      break;
    default:
      throw new Error(`there is no operation ${op}`);
  }
}

export function applyJsonPatch<T>(object: T, patch: readonly Operation[]): T {
  const draft: Draft = { root: object, own: new Set() };
  for (const operation of patch) apply(draft, operation);
  return draft.root as T;
}

const isOperation = (value: unknown): value is Operation =>
  isContainer(value) &&
  !Array.isArray(value) &&
  typeof value["op"] === "string" &&
  typeof value["path"] === "string" &&
  (value["from"] === undefined || typeof value["from"] === "string");

/** A component's patch of either kind, read from JSON; throws where it is none. */
export type Patch = readonly Operation[] | Readonly<Record<string, unknown>>;

export function checkPatch(value: unknown): Patch {
  if (!isContainer(value)) throw new Error("its patch is neither a list nor an object");
  if (!Array.isArray(value)) return value;
  if (!value.every(isOperation)) throw new Error("its patch is no list of operations");
  return value;
}

/** A component's text as a patch; throws where it is none. */
export function parsePatch(text: string): Patch {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`its patch is no JSON: ${JSON.stringify(text.slice(0, 80))}`);
  }
  return checkPatch(value);
}

const isOperations = (patch: Patch): patch is readonly Operation[] => Array.isArray(patch);

export const applyPatch = <T>(object: T, patch: Patch): T =>
  isOperations(patch) ? applyJsonPatch(object, patch) : (merged(object, patch, 0) as T);

/** Deeper than what any object of the API is; JSON.parse goes deeper than the stack does here. */
const MERGE_DEPTH_MAX = 100;

function merged(target: unknown, patch: Readonly<Record<string, unknown>>, depth: number): Record<string, unknown> {
  if (depth > MERGE_DEPTH_MAX) throw new Error("the merge patch is nested too deeply");
  const result = isContainer(target) && !Array.isArray(target) ? { ...target } : {};
  for (const [name, value] of Object.entries(patch)) {
    if (name === "__proto__") throw new Error("__proto__ is no field");
    if (value === null) delete result[name];
    else if (isContainer(value) && !Array.isArray(value)) result[name] = merged(result[name], value, depth + 1);
    else result[name] = value;
  }
  return result;
}
