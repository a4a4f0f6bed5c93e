/** Whoever asks for a device may run where only such pods run: pure (upstream: plugin/pkg/admission/extendedresourcetoleration). */
import type { PodSpec, Toleration } from "#sdk/api/generated/types.ts";

/** Outside of kubernetes.io, and no quota's name for requests. */
const isExtended = (resource: string): boolean =>
  resource.includes("/") && !resource.includes("kubernetes.io/") && !resource.startsWith("requests.");

/** The same place in the list: key, effect, operator and value. */
const isFor = (a: Toleration, b: Toleration): boolean =>
  a.key === b.key && a.effect === b.effect && a.operator === b.operator && (a.value ?? "") === (b.value ?? "");

/** The tolerations that the pod is to have; undefined when it has them. */
export function tolerationsFor(
  spec: Pick<PodSpec, "containers" | "initContainers" | "tolerations">,
): Toleration[] | undefined {
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  const wanted = new Set(
    containers.flatMap(({ resources }) => Object.keys(resources?.requests ?? {})).filter(isExtended),
  );
  const present = spec.tolerations ?? [];
  const more = [...wanted]
    .sort()
    .map((key): Toleration => ({ key, operator: "Exists", effect: "NoSchedule" }))
    .filter((toleration) => !present.some((own) => isFor(own, toleration)));
  return more.length > 0 ? [...present, ...more] : undefined;
}
