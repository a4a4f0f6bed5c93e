/** Paths inside volumes: they stay below where they start (validateLocalDescendingPath and its kin). */
import { type Causes, invalidValue } from "../../../registry/causes.ts";

export const noBacksteps = (path: string, field: string): Causes =>
  path.split("/").includes("..") ? [invalidValue(field, path, "must not contain '..'")] : [];

/** Relative, and never up. */
export const descending = (path: string, field: string): Causes => [
  ...(path.startsWith("/") ? [invalidValue(field, path, "must be a relative path")] : []),
  ...noBacksteps(path, field),
];

/** Names that start with two dots are the kubelet's. */
export const notReserved = (path: string, field: string): Causes => [
  ...descending(path, field),
  ...(path.startsWith("..") && !path.startsWith("../") ? [invalidValue(field, path, "must not start with '..'")] : []),
];

const MODE_MAX = 0o777;

/** Permissions of files in a volume, or none. */
export const fileMode = (mode: number | undefined, field: string): Causes =>
  mode !== undefined && (mode < 0 || mode > MODE_MAX)
    ? [invalidValue(field, mode, "must be a number between 0 and 0777 (octal), both inclusive")]
    : [];
