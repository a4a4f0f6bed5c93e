/** What the checks have in common: walking over containers, and the words in which findings are told. */
import type { Container, ObjectMeta, PodSpec } from "#sdk/api/generated/types.ts";

/** A pod, or a template of one. */
export interface PodLike {
  metadata?: ObjectMeta;
  spec: PodSpec;
}

export interface Finding {
  /** Short: always told. */
  reason: string;
  /** What exactly; told of one pod, not of a namespace's. */
  detail: string;
}

/** All containers: those that start first, then the others, then ephemeral ones. */
export function containersOf({ initContainers, containers, ephemeralContainers }: PodSpec): Container[] {
  return [...(initContainers ?? []), ...(containers ?? []), ...((ephemeralContainers ?? []) as Container[])];
}

export const quoted = (items: readonly string[]): string => items.map((item) => `"${item}"`).join(", ");
/** Sorted, each once. */
export const distinct = (items: Iterable<string>): string[] => [...new Set(items)].sort();
export const plural = (one: string, many: string, count: number): string => (count === 1 ? one : many);
/** `container "a"`, `containers "a", "b"`. */
export const named = (names: readonly string[]): string =>
  `${plural("container", "containers", names.length)} ${quoted(names)}`;

/** `pod and container "a"`: who set what must not be set. */
export const setters = (pod: boolean, names: readonly string[]): string =>
  [...(pod ? ["pod"] : []), ...(names.length > 0 ? [named(names)] : [])].join(" and ");

export const nameOf = ({ name }: Container): string => name ?? "";
export const isWindows = ({ os }: PodSpec): boolean => os?.name === "windows";
/** Its root is nobody on the node. */
export const hasOwnUsers = ({ hostUsers }: PodSpec): boolean => hostUsers === false;
