/** JSON Patch (RFC 6902) as admission components answer it. Works on a copy; throws where the patch does not fit. */
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

function parentOf(root: unknown, path: string): [Container, string] {
  const names = parts(path);
  const last = names.pop();
  if (last === undefined) throw new Error("the whole object cannot be replaced");
  if (last === "__proto__") throw new Error("__proto__ is no field");
  let at = root;
  for (const name of names) at = isContainer(at) ? child(at, name) : undefined;
  if (!isContainer(at)) throw new Error(`there is nothing at the parent of ${path}`);
  return [at, last];
}

function indexIn(list: unknown[], name: string, most: number): number {
  const index = name === "-" ? list.length : /^(0|[1-9]\d*)$/.test(name) ? Number(name) : Number.NaN;
  if (!(index <= most)) throw new Error(`${name} is no place in a list of ${list.length}`);
  return index;
}

function valueAt(root: unknown, path: string): unknown {
  const [parent, name] = parentOf(root, path);
  const value = child(parent, name);
  if (value === undefined) throw new Error(`there is nothing at ${path}`);
  return value;
}

function add(root: unknown, path: string, value: unknown): void {
  const [parent, name] = parentOf(root, path);
  if (Array.isArray(parent)) parent.splice(indexIn(parent, name, parent.length), 0, value);
  else parent[name] = value;
}

function remove(root: unknown, path: string): void {
  valueAt(root, path);
  const [parent, name] = parentOf(root, path);
  if (Array.isArray(parent)) parent.splice(indexIn(parent, name, parent.length - 1), 1);
  else delete parent[name];
}

function apply(root: unknown, operation: Operation): void {
  const { op, path, from = "", value } = operation;
  switch (op) {
    case "add":
      add(root, path, value);
      break;
    case "remove":
      remove(root, path);
      break;
    case "replace":
      remove(root, path);
      add(root, path, value);
      break;
    case "move": {
      const moved = valueAt(root, from);
      remove(root, from);
      add(root, path, moved);
      break;
    }
    case "copy":
      add(root, path, structuredClone(valueAt(root, from)));
      break;
    case "test":
      if (JSON.stringify(valueAt(root, path)) !== JSON.stringify(value)) throw new Error(`the test at ${path} failed`);
      break;
    default:
      throw new Error(`there is no operation ${op}`);
  }
}

export function applyJsonPatch<T>(object: T, patch: readonly Operation[]): T {
  const copy = structuredClone(object);
  for (const operation of patch) apply(copy, operation);
  return copy;
}

const isOperation = (value: unknown): value is Operation =>
  isContainer(value) &&
  !Array.isArray(value) &&
  typeof value["op"] === "string" &&
  typeof value["path"] === "string" &&
  (value["from"] === undefined || typeof value["from"] === "string");

/** A component's text as a patch; throws where it is none. */
export function parseJsonPatch(text: string): Operation[] {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    throw new Error(`its patch is no JSON: ${JSON.stringify(text.slice(0, 80))}`);
  }
  if (!Array.isArray(value) || !value.every(isOperation)) throw new Error("its patch is no list of operations");
  return value;
}
