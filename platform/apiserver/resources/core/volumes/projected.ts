/** Validation of volumes made of the pod's own data, secrets and tokens (validateProjectedVolumeSource, validateDownwardAPIVolumeSource). */
import type { DownwardAPIVolumeFile, KeyToPath, Volume, VolumeProjection } from "#sdk/api/generated/types.ts";
import { type Causes, forbiddenField, invalidValue, required } from "../../../registry/causes.ts";
import { validateFieldRef, validateResourceFieldRef } from "../pods/env.ts";
import { fileMode, notReserved } from "./paths.ts";
import { validateItems } from "./sources.ts";

const FIELDS = ["metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid"];
const TOKEN_SECONDS = { min: 600, max: 2 ** 32 };

/** Upstream tells of every file at the volume. */
function validateFile(file: DownwardAPIVolumeFile, at: string): Causes {
  const { path = "", fieldRef, resourceFieldRef, mode } = file;
  const causes = [...(path ? [] : [required(`${at}.path`)]), ...notReserved(path, `${at}.path`)];
  if (fieldRef) {
    causes.push(...validateFieldRef(fieldRef, FIELDS, `${at}.fieldRef`));
    if (resourceFieldRef)
      causes.push(invalidValue(at, "resource", "fieldRef and resourceFieldRef can not be specified simultaneously"));
  } else if (resourceFieldRef)
    causes.push(...validateResourceFieldRef(resourceFieldRef, `${at}.resourceFieldRef`, true));
  else causes.push(required(at, "one of fieldRef and resourceFieldRef is required"));
  return [...causes, ...fileMode(mode, `${at}.mode`)];
}

export const validateDownward = (source: NonNullable<Volume["downwardAPI"]>, at: string): Causes => [
  ...fileMode(source.defaultMode, `${at}.defaultMode`),
  ...(source.items ?? []).flatMap((file) => validateFile(file, at)),
];

function validateToken(
  token: NonNullable<VolumeProjection["serviceAccountToken"]>,
  at: string,
  volume: string,
): Causes {
  const { expirationSeconds: seconds = 0, path = "" } = token;
  const field = `${at}.expirationSeconds`;
  const causes: Causes = [];
  if (seconds < TOKEN_SECONDS.min)
    causes.push(invalidValue(field, seconds, "may not specify a duration less than 10 minutes"));
  if (seconds > TOKEN_SECONDS.max)
    causes.push(invalidValue(field, seconds, "may not specify a duration larger than 2^32 seconds"));
  return [...causes, ...(path ? notReserved(path, `${volume}.path`) : [required(`${volume}.path`)])];
}

export function validateProjected(projected: NonNullable<Volume["projected"]>, at: string): Causes {
  const paths = new Set<string>();
  /** One path is one file. */
  const taken = (path: string | undefined, shown: string): Causes => {
    if (!path) return [];
    const causes = paths.has(path) ? [invalidValue(at, shown, "conflicting duplicate paths")] : [];
    paths.add(path);
    return causes;
  };
  const named = ({ name = "", items = [] }: { name?: string; items?: KeyToPath[] }, field: string): Causes => [
    ...(name ? [] : [required(`${field}.name`)]),
    ...validateItems(items, `${field}.items`),
    ...items.flatMap(({ path }) => taken(path, name)),
  ];
  const sources = (projected.sources ?? []).flatMap((source, i) => {
    const field = `${at}.sources[${i}]`;
    const { secret, configMap, downwardAPI, serviceAccountToken: token } = source;
    const files = downwardAPI?.items ?? [];
    const causes = [
      ...(secret ? named(secret, `${field}.secret`) : []),
      ...(configMap ? named(configMap, `${field}.configMap`) : []),
      ...files.flatMap((file) => [...validateFile(file, `${field}.downwardAPI`), ...taken(file.path, file.path ?? "")]),
      ...(token ? validateToken(token, `${field}.serviceAccountToken`, at) : []),
    ];
    if (Object.keys(source).length > 1)
      causes.push(forbiddenField(field, "may not specify more than 1 volume type per source"));
    return causes;
  });
  return [...fileMode(projected.defaultMode, `${at}.defaultMode`), ...sources];
}
