/** The simple JSON paths of CRDs: ".spec.replicas", ".metadata.labels['a.b']", ".status.conditions[?(@.type==\"Ready\")].status". */

type Step =
  | { name: string }
  | { index: number }
  | { all: true }
  | { filter: Step[]; op: string; value: string | number | boolean };

const isRecord = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

function literal(text: string): string | number | boolean {
  if (/^(['"]).*\1$/s.test(text)) return text.slice(1, -1);
  if (text === "true" || text === "false") return text === "true";
  return Number(text);
}

/** Undefined where the text is no such path. */
export function parsePath(text: string): Step[] | undefined {
  const steps: Step[] = [];
  const field = /\.((?:[\w-]|\\.)+)/y;
  const quoted = /\.?\['((?:[^'\\]|\\.)*)'\]/y;
  const number = /\.?\[(-?\d+)\]/y;
  const all = /\.?\[\*\]/y;
  const filter =
    /\.?\[\?\(\s*@((?:\.(?:[\w-]|\\.)+)+)\s*(==|!=|<=|>=|<|>)\s*("[^"]*"|'[^']*'|true|false|-?\d+(?:\.\d+)?)\s*\)\]/y;
  for (let i = 0; i < text.length; ) {
    const at = (pattern: RegExp) => {
      pattern.lastIndex = i;
      const match = pattern.exec(text);
      if (match) i += match[0].length;
      return match;
    };
    const named = at(field) ?? at(quoted);
    if (named) {
      steps.push({ name: (named[1] ?? "").replace(/\\(.)/g, "$1") });
      continue;
    }
    const indexed = at(number);
    if (indexed) {
      steps.push({ index: Number(indexed[1]) });
      continue;
    }
    if (at(all)) {
      steps.push({ all: true });
      continue;
    }
    const filtered = at(filter);
    const inner = filtered && parsePath(filtered[1] ?? "");
    if (!filtered || !inner) return undefined;
    steps.push({ filter: inner, op: filtered[2] ?? "", value: literal(filtered[3] ?? "") });
  }
  return steps.length > 0 ? steps : undefined;
}

function compares(actual: unknown, op: string, wanted: string | number | boolean): boolean {
  if (op === "==") return actual === wanted;
  if (op === "!=") return actual !== wanted;
  if (typeof actual !== typeof wanted || (typeof actual !== "number" && typeof actual !== "string")) return false;
  const order = actual < wanted ? -1 : actual > wanted ? 1 : 0;
  return { "<": order < 0, "<=": order <= 0, ">": order > 0, ">=": order >= 0 }[op] ?? false;
}

export function findAll(value: unknown, steps: readonly Step[]): unknown[] {
  let found: unknown[] = [value];
  for (const step of steps) {
    found = found.flatMap((at): unknown[] => {
      if ("name" in step) return isRecord(at) && at[step.name] !== undefined ? [at[step.name]] : [];
      const items = Array.isArray(at) ? at : [];
      if ("index" in step) return items.at(step.index) === undefined ? [] : [items.at(step.index)];
      if ("all" in step) return isRecord(at) ? Object.values(at) : items;
      return items.filter((item) => findAll(item, step.filter).some((v) => compares(v, step.op, step.value)));
    });
  }
  return found;
}

/** Sets what a path of names leads to, making objects on the way. */
export function setAt(object: Record<string, unknown>, steps: readonly Step[], value: unknown): void {
  let at = object;
  for (const [i, step] of steps.entries()) {
    if (!("name" in step)) return;
    if (i === steps.length - 1) at[step.name] = value;
    else {
      const next = isRecord(at[step.name]) ? (at[step.name] as Record<string, unknown>) : {};
      at[step.name] = next;
      at = next;
    }
  }
}
