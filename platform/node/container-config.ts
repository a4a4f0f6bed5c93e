/** A container as CRI wants it (kuberuntime_container.go, kuberuntime_container_linux.go). */
import { randomBytes } from "node:crypto";
import { chmodSync, mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Container } from "#sdk/api/generated/types.ts";
import { tenantOf } from "#sdk/client/port.ts";
import type { ContainerEdits } from "#sdk/plugin/types.ts";
import { containerResources } from "./cgroups.ts";
import { type NodeContext, type NodePod, podPaths } from "./context.ts";
import type { ContainerConfig, Image, LinuxContainerSecurityContext, Mount, SecurityProfile } from "./cri.ts";
import { containerHash } from "./decide.ts";
import { ConfigError, environment, expand } from "./env.ts";
import {
  CONTAINER_HASH,
  CONTAINER_NAME,
  CONTAINER_PORTS,
  GRACE_PERIOD,
  MESSAGE_FILE,
  MESSAGE_POLICY,
} from "./observe.ts";
import type { References } from "./references.ts";
import { namespaceOptions, POD_NAME, POD_NAMESPACE, POD_UID, TENANT, writeHosts } from "./sandbox.ts";
import type { MountedVolumes } from "./volumes/manager.ts";
import { mountSubPath, plainSubPath } from "./volumes/subpath.ts";

/** procMount Default, as the runtimes agreed with Kubernetes. */
const MASKED = [
  "/proc/asound",
  "/proc/acpi",
  "/proc/kcore",
  "/proc/keys",
  "/proc/latency_stats",
  "/proc/timer_list",
  "/proc/timer_stats",
  "/proc/sched_debug",
  "/proc/scsi",
  "/sys/firmware",
  "/sys/devices/virtual/powercap",
];
const READONLY = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];
const MESSAGE_PATH = "/dev/termination-log";

export interface ContainerInput {
  context: NodeContext;
  references: References;
  pod: NodePod;
  container: Container;
  image: Image;
  attempt: number;
  podIPs: string[];
  volumes: MountedVolumes;
  /** For the devices that it has. */
  edits: ContainerEdits;
  /** Its process namespace is this container's. */
  targetId?: string;
}

/** Rejects with ConfigError where the pod asks for what cannot be. */
export async function containerConfig(input: ContainerInput): Promise<ContainerConfig> {
  const { context, references, pod, container, image, attempt, podIPs, edits } = input;
  verifyNonRoot(pod, container, image);
  const own = await environment(context, references, pod, container, podIPs);
  const env = new Map([...edits.envs, ...own]);
  const lookup = (name: string) => env.get(name);
  const messageFile = makeMessageFile(input);
  const { name, namespace, uid } = pod.metadata;
  return {
    metadata: { name: container.name, attempt },
    image: { image: image.id },
    command: container.command?.map((text) => expand(text, lookup)),
    args: container.args?.map((text) => expand(text, lookup)),
    ...(container.workingDir ? { workingDir: container.workingDir } : {}),
    envs: [...env].map(([key, value]) => ({ key, value: Buffer.from(value).toString("base64") })),
    mounts: await mountsOf(input, messageFile, lookup),
    devices: [...edits.deviceNodes, ...devicesOf(container, input.volumes)],
    ...(edits.cdiDevices.length > 0 ? { CDIDevices: edits.cdiDevices.map((one) => ({ name: one })) } : {}),
    labels: {
      [CONTAINER_NAME]: container.name,
      [POD_NAME]: name,
      [POD_NAMESPACE]: namespace,
      [POD_UID]: uid,
      [TENANT]: tenantOf(pod),
    },
    annotations: {
      ...Object.fromEntries(edits.annotations),
      [CONTAINER_HASH]: containerHash(container),
      "io.kubernetes.container.restartCount": String(attempt),
      "io.kubernetes.container.terminationMessagePath": container.terminationMessagePath ?? MESSAGE_PATH,
      [MESSAGE_POLICY]: container.terminationMessagePolicy ?? "File",
      [MESSAGE_FILE]: messageFile,
      [CONTAINER_PORTS]: JSON.stringify(container.ports ?? []),
      [GRACE_PERIOD]: String(pod.spec.terminationGracePeriodSeconds ?? 30),
    },
    logPath: join(container.name, `${attempt}.log`),
    stdin: container.stdin === true,
    stdinOnce: container.stdinOnce === true,
    tty: container.tty === true,
    linux: {
      resources: containerResources(pod, container, context.machine.memoryBytes),
      securityContext: securityContext(pod, container, volumeGroups(input.volumes), input.targetId),
    },
  };
}

function verifyNonRoot(pod: NodePod, container: Container, image: Image): void {
  const own = container.securityContext;
  if ((own?.runAsNonRoot ?? pod.spec.securityContext?.runAsNonRoot) !== true) return;
  const user = own?.runAsUser ?? pod.spec.securityContext?.runAsUser;
  const { name, namespace, uid } = pod.metadata;
  const about = `(pod: "${name}_${namespace}(${uid})", container: ${container.name})`;
  if (user !== undefined) {
    if (user === 0) throw new ConfigError(`container's runAsUser breaks non-root policy ${about}`);
    return;
  }
  if (image.username)
    throw new ConfigError(
      `container has runAsNonRoot and image has non-numeric user (${image.username}), cannot verify user is non-root ${about}`,
    );
  if (Number(image.uid?.value ?? 0) === 0)
    throw new ConfigError(`container has runAsNonRoot and image will run as root ${about}`);
}

function securityContext(
  pod: NodePod,
  container: Container,
  groups: number[],
  targetId: string | undefined,
): LinuxContainerSecurityContext {
  const own = container.securityContext;
  const shared = pod.spec.securityContext;
  const user = own?.runAsUser ?? shared?.runAsUser;
  const group = own?.runAsGroup ?? shared?.runAsGroup;
  const privileged = own?.privileged === true;
  return {
    privileged,
    namespaceOptions: { ...namespaceOptions(pod), ...(targetId === undefined ? {} : { pid: "TARGET", targetId }) },
    ...(user === undefined ? {} : { runAsUser: { value: user } }),
    ...(group === undefined ? {} : { runAsGroup: { value: group } }),
    readonlyRootfs: own?.readOnlyRootFilesystem === true,
    noNewPrivs: own?.allowPrivilegeEscalation === false,
    capabilities: {
      addCapabilities: own?.capabilities?.add ?? [],
      dropCapabilities: own?.capabilities?.drop ?? [],
    },
    supplementalGroups: [
      ...(shared?.fsGroup === undefined ? [] : [shared.fsGroup]),
      ...(shared?.supplementalGroups ?? []),
      ...groups,
    ],
    ...(privileged || own?.procMount === "Unmasked" ? {} : { maskedPaths: MASKED, readonlyPaths: READONLY }),
    seccomp: seccompOf(own?.seccompProfile ?? shared?.seccompProfile),
  };
}

function seccompOf(profile: { type: string; localhostProfile?: string } | undefined): SecurityProfile {
  if (profile?.type === "RuntimeDefault") return { profileType: "RuntimeDefault" };
  if (profile?.type === "Localhost")
    return { profileType: "Localhost", localhostRef: `/var/lib/kubelet/seccomp/${profile.localhostProfile ?? ""}` };
  return { profileType: "Unconfined" };
}

/** Groups that volumes ask for beside the pod's own. */
const volumeGroups = (volumes: MountedVolumes): number[] =>
  [...volumes.values()].flatMap(({ group }) => (group === undefined ? [] : [group]));

/** Volumes that are given as devices, without a file system. */
const devicesOf = (container: Container, volumes: MountedVolumes): NonNullable<ContainerConfig["devices"]> =>
  (container.volumeDevices ?? []).map(({ name, devicePath }) => {
    const volume = volumes.get(name);
    if (volume?.device !== true)
      throw new ConfigError(`no device ${JSON.stringify(name)} for the volumeDevice at ${devicePath}`);
    return { containerPath: devicePath, hostPath: volume.path, permissions: volume.readOnly === true ? "r" : "mrw" };
  });

function makeMessageFile({ context, pod, container }: ContainerInput): string {
  const directory = join(podPaths(context.settings, pod.metadata.uid).containers, container.name);
  mkdirSync(directory, { recursive: true });
  const file = join(directory, randomBytes(4).toString("hex"));
  writeFileSync(file, "");
  // Whoever the container runs as may write to it, whatever our own mask is.
  chmodSync(file, 0o666);
  return file;
}

async function mountsOf(
  input: ContainerInput,
  messageFile: string,
  lookup: (name: string) => string | undefined,
): Promise<Mount[]> {
  const { context, pod, container, podIPs, volumes } = input;
  const mounts: Mount[] = input.edits.mounts.map(({ hostPath, containerPath, readOnly }) => ({
    containerPath,
    hostPath,
    readonly: readOnly,
    propagation: "PROPAGATION_PRIVATE",
  }));
  for (const [index, mount] of (container.volumeMounts ?? []).entries()) {
    const volume = volumes.get(mount.name);
    if (volume === undefined)
      throw new ConfigError(`no volume ${JSON.stringify(mount.name)} for the mount at ${mount.mountPath}`);
    if (mount.recursiveReadOnly === "Enabled")
      throw new ConfigError(
        `failed to resolve recursive read-only mode: recursive read-only mount is not supported by the runtime of this node`,
      );
    const subPath = mount.subPathExpr === undefined ? mount.subPath : expand(mount.subPathExpr, lookup);
    const { subPaths } = podPaths(context.settings, pod.metadata.uid);
    const target = join(subPaths, mount.name, container.name, String(index));
    const part = context.settings.componentsOnly ? plainSubPath : mountSubPath;
    const hostPath = subPath ? await part(volume.path, subPath, target) : volume.path;
    mounts.push({
      containerPath: mount.mountPath.startsWith("/") ? mount.mountPath : `/${mount.mountPath}`,
      hostPath,
      readonly: mount.readOnly === true || volume.readOnly === true,
      propagation:
        mount.mountPropagation === "Bidirectional"
          ? "PROPAGATION_BIDIRECTIONAL"
          : mount.mountPropagation === "HostToContainer"
            ? "PROPAGATION_HOST_TO_CONTAINER"
            : "PROPAGATION_PRIVATE",
    });
  }
  if (!mounts.some((mount) => mount.containerPath === "/etc/hosts"))
    mounts.push({
      containerPath: "/etc/hosts",
      hostPath: writeHosts(context, pod, podIPs),
      readonly: container.securityContext?.readOnlyRootFilesystem === true,
    });
  mounts.push({ containerPath: container.terminationMessagePath ?? MESSAGE_PATH, hostPath: messageFile });
  return mounts;
}
