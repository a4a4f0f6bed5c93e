/** Images are pulled whenever a container starts: pure (upstream: plugin/pkg/admission/alwayspullimages). */
import type { Container, Pod, PodSpec } from "#sdk/api/generated/types.ts";

const ALWAYS = "Always";
const LISTS = ["initContainers", "containers", "ephemeralContainers"] as const;

const containersOf = (spec: PodSpec, list: (typeof LISTS)[number]) => (spec[list] ?? []) as readonly Container[];
const images = (spec: PodSpec): string[] => LISTS.flatMap((list) => containersOf(spec, list).map((c) => c.image ?? ""));

/** An update that brings no image is none of this rule's. */
export function isConcerned(pod: Pod, before: Pod | undefined): boolean {
  if (!before?.spec || !pod.spec) return true;
  const known = new Set(images(before.spec));
  return images(pod.spec).some((image) => !known.has(image));
}

/** A JSON Patch. */
export function patchFor({ spec = { containers: [] } }: Pod): { op: "add"; path: string; value: string }[] {
  const ofContainers = LISTS.flatMap((list) =>
    containersOf(spec, list).flatMap(({ imagePullPolicy }, i) =>
      imagePullPolicy === ALWAYS ? [] : [`/spec/${list}/${i}/imagePullPolicy`],
    ),
  );
  const ofVolumes = (spec.volumes ?? []).flatMap(({ image }, i) =>
    image && image.pullPolicy !== ALWAYS ? [`/spec/volumes/${i}/image/pullPolicy`] : [],
  );
  return [...ofContainers, ...ofVolumes].map((path) => ({ op: "add", path, value: ALWAYS }));
}

const unsupported = (path: string, value: string | undefined): string =>
  `${path}: Unsupported value: ${JSON.stringify(value ?? "")}: supported values: "${ALWAYS}"`;

/** What is still otherwise, after everybody has changed the pod. */
export function violations({ spec = { containers: [] } }: Pod): string[] {
  const ofContainers = LISTS.flatMap((list) =>
    containersOf(spec, list).flatMap(({ imagePullPolicy }, i) =>
      imagePullPolicy === ALWAYS ? [] : [unsupported(`spec.${list}[${i}].imagePullPolicy`, imagePullPolicy)],
    ),
  );
  const ofVolumes = (spec.volumes ?? []).flatMap(({ image }, i) =>
    image && image.pullPolicy !== ALWAYS ? [unsupported(`spec.volumes[${i}].image.pullPolicy`, image.pullPolicy)] : [],
  );
  return [...ofContainers, ...ofVolumes];
}
