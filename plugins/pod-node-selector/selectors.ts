/** Which nodes a namespace's pods are kept to: pure (upstream: plugin/pkg/admission/podnodeselector). */

const ANNOTATION = "scheduler.alpha.kubernetes.io/node-selector";
const DEFAULT = "clusterDefaultNodeSelector";

export type Selector = Readonly<Record<string, string>>;

/** A reason not to admit the pod, as upstream words it. */
export class Rejected extends Error {}

/** "a=b,c=d" as labels. */
export function parseSelector(text: string): Selector {
  const found: Record<string, string> = {};
  for (const part of text === "" ? [] : text.split(",")) {
    const [key, value, ...rest] = part.split("=");
    if (key === undefined || value === undefined || rest.length > 0) throw new Rejected(`invalid selector: ${text}`);
    found[key.trim()] = value.trim();
  }
  return found;
}

const conflicts = (a: Selector, b: Selector): boolean =>
  Object.entries(a).some(([key, value]) => b[key] !== undefined && b[key] !== value);

/**
 * The selector that the pod is to have: the namespace's and its own. Throws Rejected where they disagree, or where they go beyond what the
 * configuration leaves to the namespace.
 */
export function selectorFor(
  own: Selector,
  namespace: { name: string; annotations: Readonly<Record<string, string>> },
  config: Readonly<Record<string, string>>,
): Selector {
  const given = parseSelector(namespace.annotations[ANNOTATION] ?? config[DEFAULT] ?? "");
  if (conflicts(given, own))
    throw new Rejected("pod node label selector conflicts with its namespace node label selector");
  const wanted = { ...given, ...own };
  const allowed = parseSelector(config[namespace.name] ?? "");
  const isWithin =
    Object.keys(allowed).length === 0 || Object.entries(wanted).every(([key, value]) => allowed[key] === value);
  if (!isWithin) throw new Rejected("pod node label selector labels conflict with its namespace whitelist");
  return wanted;
}
