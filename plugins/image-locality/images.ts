/** ImageLocality as kube-scheduler has it. */
import type { PodSpec } from "#sdk/api/generated/types.ts";

const MIB = 1024 * 1024;
const LEAST_BYTES = 23 * MIB;
const MOST_BYTES_A_CONTAINER = 1000 * MIB;

/** Sizes in bytes by every name that the node knows an image by. */
export type Images = ReadonlyMap<string, number>;

/** As the node's list has it: with a tag. */
export const normalizedName = (name: string): string =>
  name.lastIndexOf(":") <= name.lastIndexOf("/") ? `${name}:latest` : name;

export interface Wanted {
  names: string[];
  containers: number;
}

export function wantedOf(spec: PodSpec | undefined): Wanted {
  const containers = [...(spec?.initContainers ?? []), ...(spec?.containers ?? [])];
  const volumes = (spec?.volumes ?? []).flatMap(({ image }) => (image?.reference ? [image.reference] : []));
  const names = [...containers.flatMap(({ image }) => (image ? [image] : [])), ...volumes].map(normalizedName);
  return { names, containers: containers.length };
}

/** 0–100. `share`: of all nodes, how many have the image: one that few nodes have does not draw every pod there. */
export function score({ names, containers }: Wanted, images: Images, share: (name: string) => number): number {
  const sum = names.reduce((total, name) => total + Math.trunc((images.get(name) ?? 0) * share(name)), 0);
  const most = MOST_BYTES_A_CONTAINER * containers;
  const bounded = Math.max(LEAST_BYTES, Math.min(sum, most));
  return Math.trunc((100 * (bounded - LEAST_BYTES)) / (most - LEAST_BYTES));
}
