/** What a RuntimeClass makes of a pod: pure (upstream: plugin/pkg/admission/runtimeclass, KEP-585, KEP-688). */
import type { Pod, RuntimeClass, Toleration } from "#sdk/api/generated/types.ts";
import { parseQuantity } from "#sdk/api/quantity.ts";

type Patch = { op: "add" | "replace"; path: string; value: unknown }[];

/** A reason not to admit the pod, as upstream words it. */
export class Rejected extends Error {}

const sameAmounts = (a: Record<string, string | number>, b: Record<string, string | number>): boolean =>
  Object.keys(a).length === Object.keys(b).length &&
  Object.entries(a).every(([name, amount]) => {
    const other = b[name];
    return other !== undefined && parseQuantity(amount).nano === parseQuantity(other).nano;
  });

const sameToleration = (a: Toleration, b: Toleration): boolean =>
  a.key === b.key &&
  (a.operator ?? "Equal") === (b.operator ?? "Equal") &&
  (a.value ?? "") === (b.value ?? "") &&
  (a.effect ?? "") === (b.effect ?? "") &&
  a.tolerationSeconds === b.tolerationSeconds;

function nodeSelectorOf(pod: Pod, runtimeClass: RuntimeClass): Record<string, string> | undefined {
  const wanted = runtimeClass.scheduling?.nodeSelector;
  if (!wanted) return undefined;
  const present = pod.spec?.nodeSelector ?? {};
  for (const [key, value] of Object.entries(wanted)) {
    const own = present[key];
    if (own !== undefined && own !== value)
      throw new Rejected(
        `conflict: runtimeClass.scheduling.nodeSelector[${key}] = ${value}; pod.spec.nodeSelector[${key}] = ${own}`,
      );
  }
  return { ...present, ...wanted };
}

const NO_CLASS = "pod rejected: Pod Overhead set without corresponding RuntimeClass defined Overhead";

/** Throws Rejected. Nothing to do for pods without a class. */
export function patchFor(pod: Pod, classes: readonly RuntimeClass[]): Patch {
  const { runtimeClassName: name, overhead, tolerations = [] } = pod.spec ?? {};
  if (!name) {
    if (overhead && Object.keys(overhead).length > 0) throw new Rejected(NO_CLASS);
    return [];
  }
  const found = classes.find(({ metadata }) => metadata.name === name);
  if (!found) throw new Rejected(`pod rejected: RuntimeClass ${JSON.stringify(name)} not found`);
  const patch: Patch = [];
  const costs = found.overhead?.podFixed;
  if (overhead && !costs) throw new Rejected(NO_CLASS);
  if (overhead && !sameAmounts(overhead, costs ?? {}))
    throw new Rejected("pod rejected: Pod's Overhead doesn't match RuntimeClass's defined Overhead");
  if (costs && !overhead) patch.push({ op: "add", path: "/spec/overhead", value: costs });
  const nodeSelector = nodeSelectorOf(pod, found);
  if (nodeSelector) patch.push({ op: "add", path: "/spec/nodeSelector", value: nodeSelector });
  const more = (found.scheduling?.tolerations ?? []).filter((t) => !tolerations.some((own) => sameToleration(own, t)));
  if (more.length > 0) patch.push({ op: "add", path: "/spec/tolerations", value: [...tolerations, ...more] });
  return patch;
}
