/** Validation of what of a pod's volumes a container sees (ValidateVolumeMounts, ValidateVolumeDevices). */
import type { Container, Volume, VolumeMount } from "#sdk/api/generated/types.ts";
import {
  type Causes,
  forbiddenField,
  invalidValue,
  notFoundValue,
  notSupported,
  required,
} from "../../../registry/causes.ts";
import { oneOf } from "../../checks.ts";
import { descending, noBacksteps } from "../volumes/paths.ts";

/** Those of the pod's volumes that are right themselves, by name. */
export type PodVolumes = ReadonlyMap<string, Volume>;

const PROPAGATIONS = ["Bidirectional", "HostToContainer", "None"];
const READ_ONLY = ["Disabled", "Enabled", "IfPossible"];

function validatePropagation(mount: VolumeMount, privileged: boolean, at: string): Causes {
  const { mountPropagation: propagation } = mount;
  const causes = oneOf(propagation, at, PROPAGATIONS);
  if (propagation === "Bidirectional" && !privileged)
    causes.push(forbiddenField(at, "Bidirectional mount propagation is available only to privileged containers"));
  return causes;
}

function validateReadOnly({ recursiveReadOnly: mode, readOnly, mountPropagation }: VolumeMount, at: string): Causes {
  if (mode === undefined || mode === "Disabled") return [];
  if (!READ_ONLY.includes(mode)) return [notSupported(at, mode, READ_ONLY)];
  return [
    ...(readOnly ? [] : [forbiddenField(at, "may only be specified when readOnly is true")]),
    ...(mountPropagation !== undefined && mountPropagation !== "None"
      ? [forbiddenField(at, "may only be specified when mountPropagation is None or not specified")]
      : []),
  ];
}

/** `path` is the list's: upstream tells some of a mount's faults there. */
export function validateMounts(container: Container, path: string, volumes: PodVolumes): Causes {
  const { volumeMounts = [], volumeDevices = [], securityContext } = container;
  const devices = new Map(volumeDevices.map((d) => [d.name ?? "", d.devicePath ?? ""]));
  const devicePaths = new Set(devices.values());
  const paths = new Set<string>();
  return volumeMounts.flatMap((mount, i) => {
    const at = `${path}[${i}]`;
    const { name = "", mountPath = "", subPath = "", subPathExpr = "" } = mount;
    const causes: Causes = name === "" ? [required(`${at}.name`)] : [];
    if (!volumes.has(name)) causes.push(notFoundValue(`${at}.name`, name));
    if (mountPath === "") causes.push(required(`${at}.mountPath`));
    if (paths.has(mountPath)) causes.push(invalidValue(`${at}.mountPath`, mountPath, "must be unique"));
    paths.add(mountPath);
    if (devices.has(name)) causes.push(invalidValue(`${at}.name`, name, "must not already exist in volumeDevices"));
    if (devicePaths.has(mountPath))
      causes.push(invalidValue(`${at}.mountPath`, mountPath, "must not already exist as a path in volumeDevices"));
    if (subPath) causes.push(...descending(subPath, `${path}.subPath`));
    if (subPathExpr) {
      if (subPath)
        causes.push(invalidValue(`${at}.subPathExpr`, subPathExpr, "subPathExpr and subPath are mutually exclusive"));
      causes.push(...descending(subPathExpr, `${path}.subPathExpr`));
    }
    return [
      ...causes,
      ...validatePropagation(mount, securityContext?.privileged === true, `${path}.mountPropagation`),
      ...validateReadOnly(mount, `${path}.recursiveReadOnly`),
    ];
  });
}

export function validateDevices(container: Container, path: string, volumes: PodVolumes): Causes {
  const { volumeMounts = [], volumeDevices = [] } = container;
  const mounts = new Map(volumeMounts.map((m) => [m.name ?? "", m.mountPath ?? ""]));
  const mountPaths = new Set(mounts.values());
  const [names, paths] = [new Set<string>(), new Set<string>()];
  return volumeDevices.flatMap(({ name = "", devicePath = "" }, i) => {
    const at = `${path}[${i}]`;
    const causes: Causes = [];
    const wrong = (field: "name" | "devicePath", detail: string) =>
      causes.push(invalidValue(`${at}.${field}`, field === "name" ? name : devicePath, detail));
    const volume = volumes.get(name);
    if (name === "") causes.push(required(`${at}.name`));
    if (names.has(name)) wrong("name", "must be unique");
    if (!volume) causes.push(notFoundValue(`${at}.name`, name));
    else if (!volume.persistentVolumeClaim && !volume.ephemeral)
      wrong("name", "can only use volume source type of PersistentVolumeClaim or Ephemeral for block mode");
    if (devicePath === "") causes.push(required(`${at}.devicePath`));
    if (paths.has(devicePath)) wrong("devicePath", "must be unique");
    if (noBacksteps(devicePath, at).length > 0) wrong("devicePath", "can not contain backsteps ('..')");
    else paths.add(devicePath);
    if (mounts.has(name)) wrong("name", "must not already exist in volumeMounts");
    if (mountPaths.has(devicePath)) wrong("devicePath", "must not already exist as a path in volumeMounts");
    if (name) names.add(name);
    return causes;
  });
}
