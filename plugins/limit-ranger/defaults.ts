/** LimitRanger's mutation: the container defaults of every LimitRange, and the annotation that says what was set. */
import type { Container, LimitRange, Pod } from "#sdk/api/generated/types.ts";

const ANNOTATION = "kubernetes.io/limit-ranger";
type Amounts = Record<string, string>;

export interface PatchOperation {
  op: "add";
  path: string;
  value: unknown;
}

/** The pod as it is built up, range by range; only what defaulting touches. */
interface Resources {
  requests: Amounts;
  limits: Amounts;
  changed: boolean;
}

function containerDefaults({ spec }: LimitRange): { requests: Amounts; limits: Amounts } {
  const items = (spec?.limits ?? []).filter(({ type }) => type === "Container");
  return {
    requests: Object.assign({}, ...items.map((item) => item.defaultRequest ?? {})) as Amounts,
    limits: Object.assign({}, ...items.map((item) => item.default ?? {})) as Amounts,
  };
}

/** Sets what is missing; answers the names that were set. */
function fill(present: Amounts, defaults: Amounts): string[] {
  const missing = Object.keys(defaults).filter((name) => !Object.hasOwn(present, name));
  for (const name of missing) present[name] = defaults[name] as string;
  return missing.sort();
}

/** The patch that gives the pod the namespace's defaults; of several ranges the first that names a resource wins. */
export function defaultsPatch(pod: Pod, ranges: readonly LimitRange[]): PatchOperation[] {
  const kinds = [
    ["containers", "container", pod.spec?.containers ?? []],
    ["initContainers", "init container", pod.spec?.initContainers ?? []],
  ] as const;
  const resources = new Map<Container, Resources>();
  let said = "";
  for (const range of ranges) {
    const defaults = containerDefaults(range);
    const notes: string[] = [];
    for (const [, kind, containers] of kinds) {
      for (const container of containers) {
        const own = resources.get(container) ?? resourcesOf(container);
        resources.set(container, own);
        const limits = fill(own.limits, defaults.limits);
        const requests = fill(own.requests, defaults.requests);
        if (requests.length > 0) notes.push(`${requests.join(", ")} request for ${kind} ${container.name}`);
        if (limits.length > 0) notes.push(`${limits.join(", ")} limit for ${kind} ${container.name}`);
        if (requests.length + limits.length > 0) own.changed = true;
      }
    }
    if (notes.length > 0) said = `LimitRanger plugin set: ${notes.join("; ")}`;
  }
  if (said === "") return [];
  const patch = kinds.flatMap(([field, , containers]) =>
    containers.flatMap((container, i) => resourcePatch(`/spec/${field}/${i}/resources`, container, resources)),
  );
  return [...patch, annotationPatch(pod, said)];
}

const resourcesOf = (container: Container): Resources => ({
  requests: { ...container.resources?.requests },
  limits: { ...container.resources?.limits },
  changed: false,
});

function resourcePatch(path: string, container: Container, all: Map<Container, Resources>): PatchOperation[] {
  const own = all.get(container);
  if (!own?.changed) return [];
  const value = {
    ...container.resources,
    ...(Object.keys(own.limits).length > 0 ? { limits: own.limits } : {}),
    ...(Object.keys(own.requests).length > 0 ? { requests: own.requests } : {}),
  };
  return [{ op: "add", path, value }];
}

function annotationPatch(pod: Pod, said: string): PatchOperation {
  if (!pod.metadata.annotations) return { op: "add", path: "/metadata/annotations", value: { [ANNOTATION]: said } };
  return { op: "add", path: `/metadata/annotations/${ANNOTATION.replace("/", "~1")}`, value: said };
}
