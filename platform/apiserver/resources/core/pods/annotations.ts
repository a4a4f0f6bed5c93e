/** Validation of annotations that settings were before they were fields (ValidatePodSpecificAnnotations and what compares them with the fields). */
import type { AppArmorProfile, PodSpec, SeccompProfile } from "#sdk/api/generated/types.ts";
import { type Causes, forbiddenField, invalidValue } from "../../../registry/causes.ts";
import { descending } from "../volumes/paths.ts";
import { eachContainer } from "./windows.ts";

type Annotations = Readonly<Record<string, string>>;

export const MIRROR = "kubernetes.io/config.mirror";
const DELETION_COST = "controller.kubernetes.io/pod-deletion-cost";
const SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod";
const SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/";
export const APP_ARMOR = "container.apparmor.security.beta.kubernetes.io/";
const RUNTIME_DEFAULT = "runtime/default";
const UNCONFINED = "unconfined";
const LOCAL = "localhost/";
const INT32_MAX = 2 ** 31 - 1;

function isInt32(text: string): boolean {
  // Neither a plus sign nor zeros before the number.
  if (!/^(0|[1-9]\d*|-\d+)$/.test(text)) return false;
  return Number(text) <= INT32_MAX && Number(text) >= -INT32_MAX - 1;
}

function validateSeccomp(profile: string, field: string): Causes {
  if ([RUNTIME_DEFAULT, "docker/default", UNCONFINED].includes(profile)) return [];
  if (profile.startsWith(LOCAL)) return descending(profile.slice(LOCAL.length), field);
  return [invalidValue(field, profile, "must be a valid seccomp profile")];
}

function validateAppArmor(key: string, profile: string, containers: ReadonlySet<string>, field: string): Causes {
  const container = key.slice(APP_ARMOR.length);
  const at = `${field}[${key}]`;
  const known = profile === "" || profile === RUNTIME_DEFAULT || profile === UNCONFINED || profile.startsWith(LOCAL);
  return [
    ...(containers.has(container) ? [] : [invalidValue(at, container, "container not found")]),
    ...(known ? [] : [invalidValue(at, profile, `invalid AppArmor profile name: ${JSON.stringify(profile)}`)]),
  ];
}

/** `field` is of the annotations; `costs`: what was no number before may stay none. */
export function validatePodAnnotations(
  annotations: Annotations | undefined,
  spec: PodSpec,
  field: string,
  costs = false,
): Causes {
  const containers = new Set(eachContainer(spec, "").map(({ container }) => container.name ?? ""));
  return Object.entries(annotations ?? {}).flatMap(([key, value]) => {
    if (key === MIRROR && !spec.nodeName)
      return [invalidValue(`${field}[${key}]`, value, "must set spec.nodeName if mirror pod annotation is set")];
    if (key === DELETION_COST && !costs && !isInt32(value))
      return [invalidValue(`${field}[${key}]`, value, "must be a 32bit integer")];
    if (key === SECCOMP_POD || key.startsWith(SECCOMP_CONTAINER)) return validateSeccomp(value, `${field}.${key}`);
    if (key.startsWith(APP_ARMOR)) return validateAppArmor(key, value, containers, field);
    return [];
  });
}

export const hasWrongCost = (annotations: Annotations | undefined): boolean =>
  annotations?.[DELETION_COST] !== undefined && !isInt32(annotations[DELETION_COST]);

/** An annotation beside the field that took its place says the same. */
function validateAgreement(
  what: "seccomp" | "apparmor",
  annotation: string | undefined,
  profile: SeccompProfile | AppArmorProfile | undefined,
  at: string,
): Causes {
  if (annotation === undefined || !profile) return [];
  const differs = (field: string, part: string) => [
    forbiddenField(`${at}.${field}`, `${what} ${part} in annotation and field must match`),
  ];
  const { type, localhostProfile } = profile;
  if (type === "Unconfined") return annotation === UNCONFINED ? [] : differs("type", "type");
  if (type === "RuntimeDefault") {
    const old = what === "seccomp" && annotation === "docker/default";
    return annotation === RUNTIME_DEFAULT || old ? [] : differs("type", "type");
  }
  if (type !== "Localhost") return [];
  if (!annotation.startsWith(LOCAL)) return differs("type", "type");
  return annotation.slice(LOCAL.length) === localhostProfile ? [] : differs("localhostProfile", "profile");
}

/** The field that an AppArmor annotation became; undefined when it tells none. */
export function profileOf(annotation: string | undefined): AppArmorProfile | undefined {
  if (annotation === RUNTIME_DEFAULT) return { type: "RuntimeDefault" };
  if (annotation === UNCONFINED) return { type: "Unconfined" };
  if (!annotation?.startsWith(LOCAL)) return undefined;
  return { type: "Localhost", localhostProfile: annotation.slice(LOCAL.length) };
}

/** What a new pod or a template says in both ways. `path` is the spec's. */
export function validateProfiles(annotations: Annotations | undefined, spec: PodSpec, path: string): Causes {
  if (!annotations) return [];
  const own = spec.securityContext;
  const containers = eachContainer(spec, path).flatMap(({ container, at }) => {
    const { name = "", securityContext: context } = container;
    const armor = spec.os?.name === "windows" ? undefined : (context?.appArmorProfile ?? own?.appArmorProfile);
    const field = `${at}.securityContext`;
    return [
      ...validateAgreement(
        "seccomp",
        annotations[SECCOMP_CONTAINER + name],
        context?.seccompProfile,
        `${field}.seccompProfile`,
      ),
      ...validateAgreement("apparmor", annotations[APP_ARMOR + name], armor, `${field}.appArmorProfile`),
    ];
  });
  const at = `${path}.securityContext.seccompProfile`;
  return [...validateAgreement("seccomp", annotations[SECCOMP_POD], own?.seccompProfile, at), ...containers];
}

/** What makes a pod a static pod's mirror, or confines it, stays as it was made. */
export function validateFixedAnnotations(next: Annotations = {}, old: Annotations = {}, field: string): Causes {
  const names = [...new Set([...Object.keys(old), ...Object.keys(next)])].filter((key) => next[key] !== old[key]);
  return names.flatMap((key) => {
    const how = Object.hasOwn(old, key) ? "remove or update" : "add";
    if (key === MIRROR) return [forbiddenField(`${field}[${key}]`, `may not ${how} mirror pod annotation`)];
    if (key.startsWith(APP_ARMOR)) return [forbiddenField(`${field}[${key}]`, `may not ${how} AppArmor annotations`)];
    return [];
  });
}
