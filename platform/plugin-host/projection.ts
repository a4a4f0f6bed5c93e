/**
 * The part of an object that a plugin declared it needs (P5): dotted paths; a path that meets a list goes on in each of its items, so
 * places in lists stay what they are in the whole object. No paths: everything.
 */
type Tree = Map<string, Tree>;

function treeOf(paths: readonly string[]): Tree {
  const root: Tree = new Map();
  for (const path of paths) {
    let at = root;
    for (const name of path.split(".")) {
      let below = at.get(name);
      if (!below) {
        below = new Map();
        at.set(name, below);
      }
      at = below;
    }
  }
  return root;
}

function project(value: unknown, tree: Tree): unknown {
  if (tree.size === 0 || typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((item) => project(item, tree));
  const part: Record<string, unknown> = {};
  for (const [name, below] of tree) {
    const field = (value as Record<string, unknown>)[name];
    if (field !== undefined) part[name] = project(field, below);
  }
  return part;
}

/** Object → JSON text of its projection; "" for undefined. */
export function projector(paths: readonly string[] | undefined): (object: unknown) => string {
  if (!paths || paths.length === 0) return (object) => (object === undefined ? "" : JSON.stringify(object));
  const tree = treeOf(paths);
  return (object) => (object === undefined ? "" : JSON.stringify(project(object, tree)));
}

/** The same on objects. */
export function projected(paths: readonly string[]): (object: unknown) => unknown {
  const tree = treeOf(paths);
  return (object) => project(object, tree);
}

const isSomething = (value: unknown): boolean => {
  if (Array.isArray(value)) return value.length > 0;
  if (typeof value === "object" && value !== null) return Object.keys(value).length > 0;
  return value !== undefined && value !== null && value !== "" && value !== 0 && value !== false;
};

/** Whether a value has, somewhere below this path, what the test accepts. */
const hasAt = (value: unknown, path: readonly string[], at: number, test: (value: unknown) => boolean): boolean => {
  if (at === path.length) return test(value);
  if (typeof value !== "object" || value === null) return false;
  if (Array.isArray(value)) return value.some((item) => hasAt(item, path, at, test));
  return hasAt((value as Record<string, unknown>)[path[at]!], path, at + 1, test);
};

const collect = (value: unknown, path: readonly string[], at: number, into: Set<string>): void => {
  if (Array.isArray(value)) for (const item of value) collect(item, path, at, into);
  else if (at === path.length) {
    if (typeof value === "string" && value !== "") into.add(value);
  } else if (typeof value === "object" && value !== null) {
    collect((value as Record<string, unknown>)[path[at]!], path, at + 1, into);
  }
};

/** The texts at these paths, each once. */
export function textsAt(paths: readonly string[]): (object: unknown) => string[] {
  const ways = paths.map((path) => path.split("."));
  return (object) => {
    const texts = new Set<string>();
    for (const way of ways) collect(object, way, 0, texts);
    return [...texts];
  };
}

/** Whether an object has something (a value that is not empty, 0 or false) at one of the paths; "PATH=TEXT": this text. */
export function hasSomething(paths: readonly string[]): (object: unknown) => boolean {
  const tests = paths.map((path) => {
    const [way = "", text] = path.split("=");
    return { way: way.split("."), test: text === undefined ? isSomething : (value: unknown) => value === text };
  });
  return (object) => tests.some(({ way, test }) => hasAt(object, way, 0, test));
}
