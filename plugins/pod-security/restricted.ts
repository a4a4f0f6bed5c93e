/** What the restricted level asks for beyond baseline: pure; findings in upstream's words (pod-security-admission/policy). */
import type { Volume } from "#sdk/api/generated/types.ts";
import { isSeccompType } from "./baseline.ts";
import {
  containersOf,
  distinct,
  type Finding,
  hasOwnUsers,
  isWindows,
  named,
  nameOf,
  type PodLike,
  plural,
  quoted,
  setters,
} from "./visit.ts";

type Check = (pod: PodLike) => Finding | undefined;

/** Fields that are of no use on Windows are not asked for there (since 1.25). */
export const unlessWindows =
  (check: Check): Check =>
  (pod) =>
    isWindows(pod.spec) ? undefined : check(pod);

/** Root of a user namespace of its own is nobody outside (KEP-127, since 1.35). */
export const unlessOwnUsers =
  (check: Check): Check =>
  (pod) =>
    hasOwnUsers(pod.spec) ? undefined : check(pod);

export const allowPrivilegeEscalation: Check = ({ spec }) => {
  const bad = containersOf(spec).filter((c) => c.securityContext?.allowPrivilegeEscalation !== false);
  if (bad.length === 0) return undefined;
  return {
    reason: "allowPrivilegeEscalation != false",
    detail: `${named(bad.map(nameOf))} must set securityContext.allowPrivilegeEscalation=false`,
  };
};

export const capabilities: Check = ({ spec }) => {
  const all = containersOf(spec);
  const keeping = all.filter((c) => !c.securityContext?.capabilities?.drop?.includes("ALL"));
  const added = (c: (typeof all)[number]) =>
    (c.securityContext?.capabilities?.add ?? []).filter((name) => name !== "NET_BIND_SERVICE");
  const adding = all.filter((c) => added(c).length > 0);
  if (keeping.length === 0 && adding.length === 0) return undefined;
  const what = distinct(adding.flatMap(added));
  const details = [
    ...(keeping.length > 0 ? [`${named(keeping.map(nameOf))} must set securityContext.capabilities.drop=["ALL"]`] : []),
    ...(adding.length > 0
      ? [`${named(adding.map(nameOf))} must not include ${quoted(what)} in securityContext.capabilities.add`]
      : []),
  ];
  return { reason: "unrestricted capabilities", detail: details.join("; ") };
};

const ALLOWED_VOLUMES = [
  "configMap",
  "csi",
  "downwardAPI",
  "emptyDir",
  "ephemeral",
  "image",
  "persistentVolumeClaim",
  "projected",
  "secret",
] as const satisfies readonly (keyof Volume)[];
const FORBIDDEN_VOLUMES = [
  "hostPath",
  "gcePersistentDisk",
  "awsElasticBlockStore",
  "gitRepo",
  "nfs",
  "iscsi",
  "glusterfs",
  "rbd",
  "flexVolume",
  "cinder",
  "cephfs",
  "flocker",
  "fc",
  "azureFile",
  "vsphereVolume",
  "quobyte",
  "azureDisk",
  "photonPersistentDisk",
  "portworxVolume",
  "scaleIO",
  "storageos",
] as const satisfies readonly (keyof Volume)[];

export const volumes: Check = ({ spec }) => {
  const bad = (spec.volumes ?? []).filter((volume) => !ALLOWED_VOLUMES.some((type) => volume[type] !== undefined));
  if (bad.length === 0) return undefined;
  const typeOf = (volume: Volume) => FORBIDDEN_VOLUMES.find((type) => volume[type] !== undefined) ?? "unknown";
  const types = distinct(bad.map(typeOf));
  const who = `${plural("volume", "volumes", bad.length)} ${quoted(bad.map(({ name }) => name ?? ""))}`;
  const what = plural("restricted volume type", "restricted volume types", types.length);
  return {
    reason: "restricted volume types",
    detail: `${who} ${plural("uses", "use", bad.length)} ${what} ${quoted(types)}`,
  };
};

export const runAsNonRoot: Check = ({ spec }) => {
  const ofPod = spec.securityContext?.runAsNonRoot;
  const all = containersOf(spec);
  const explicit = all.filter((c) => c.securityContext?.runAsNonRoot === false);
  const pod = ofPod === false;
  const reason = "runAsNonRoot != true";
  if (pod || explicit.length > 0)
    return { reason, detail: `${setters(pod, explicit.map(nameOf))} must not set securityContext.runAsNonRoot=false` };
  const silent = ofPod ? [] : all.filter((c) => c.securityContext?.runAsNonRoot === undefined);
  if (silent.length === 0) return undefined;
  return { reason, detail: `pod or ${named(silent.map(nameOf))} must set securityContext.runAsNonRoot=true` };
};

export const runAsUser: Check = ({ spec }) => {
  const pod = spec.securityContext?.runAsUser === 0;
  const bad = containersOf(spec).filter((c) => c.securityContext?.runAsUser === 0);
  if (!pod && bad.length === 0) return undefined;
  return { reason: "runAsUser=0", detail: `${setters(pod, bad.map(nameOf))} must not set runAsUser=0` };
};

export const seccompProfile: Check = ({ spec }) => {
  const ofPod = spec.securityContext?.seccompProfile;
  const pod = ofPod !== undefined && !isSeccompType(ofPod.type);
  const all = containersOf(spec);
  const profileOf = (c: (typeof all)[number]) => c.securityContext?.seccompProfile;
  const bad = all.filter((c) => profileOf(c) && !isSeccompType(profileOf(c)?.type));
  const reason = "seccompProfile";
  if (pod || bad.length > 0) {
    const values = distinct([...(pod ? [ofPod.type ?? ""] : []), ...bad.map((c) => profileOf(c)?.type ?? "")]);
    const who = setters(pod, bad.map(nameOf));
    return { reason, detail: `${who} must not set securityContext.seccompProfile.type to ${quoted(values)}` };
  }
  const silent = ofPod ? [] : all.filter((c) => !profileOf(c));
  if (silent.length === 0) return undefined;
  const types = 'must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost"';
  return { reason, detail: `pod or ${named(silent.map(nameOf))} ${types}` };
};
