/** A pod's volumes on this host: emptyDir, hostPath, configMap, secret, downwardAPI and projected, made and kept current. */
import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { chmod, chown, mkdir, rm, stat, writeFile } from "node:fs/promises";
import { dirname, join } from "node:path";
import { promisify } from "node:util";
import type {
  Container,
  DownwardAPIVolumeFile,
  HostPathVolumeSource,
  KeyToPath,
  Volume,
  VolumeProjection,
} from "#sdk/api/generated/types.ts";
import { parseQuantity, quantityValue } from "#sdk/api/quantity.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { type VolumeFile, writeVolume } from "./atomic-writer.ts";
import { type NodeContext, type NodePod, podPaths } from "./context.ts";
import { fieldValue, resourceValue } from "./fields.ts";
import type { References } from "./references.ts";

const run = promisify(execFile);
const FILE_MODE = 0o644;
const TOKEN_SECONDS = 3600;
/** A file already held by this name and the sources it is projected from. */
type Files = Map<string, VolumeFile>;

/** Volume name to path on the host. */
export type MountedVolumes = Map<string, string>;

export interface VolumeManager {
  /** Makes what is missing and refreshes what has changed. Rejects with a message fit for FailedMount. */
  ensure(pod: NodePod, podIPs: string[]): Promise<MountedVolumes>;
  /** Unmounts and removes everything of a pod; its containers are gone. */
  remove(uid: string): Promise<void>;
}

export function createVolumes(context: NodeContext, references: References): VolumeManager {
  const tokens = createTokens(context);
  const directoryOf = (pod: NodePod, name: string) => join(podPaths(context.settings, pod.metadata.uid).volumes, name);

  const ensureOne = async (pod: NodePod, volume: Volume, podIPs: string[]): Promise<string> => {
    const directory = directoryOf(pod, volume.name);
    const group = pod.spec.securityContext?.fsGroup;
    if (volume.hostPath) return await ensureHostPath(volume.hostPath);
    if (volume.emptyDir) {
      const limit = volume.emptyDir.sizeLimit;
      const bytes = limit === undefined ? undefined : quantityValue(parseQuantity(limit));
      if (volume.emptyDir.medium === "Memory") await ensureTmpfs(directory, bytes);
      await ensureEmptyDir(directory, group);
      return directory;
    }
    const sources = sourcesOf(volume);
    if (sources === undefined)
      throw new Error(`volume ${JSON.stringify(volume.name)}: this kind of volume is not supported on this node`);
    const secret = sources.list.some(
      (source) => source.secret !== undefined || source.serviceAccountToken !== undefined,
    );
    if (secret) await ensureTmpfs(directory, undefined);
    const files: Files = new Map();
    for (const source of sources.list)
      for (const [path, file] of await filesOf(context, references, tokens, pod, source, sources.mode, podIPs))
        files.set(
          path,
          group === undefined ? file : { ...file, mode: file.mode | (((file.mode & 0o700) >> 3) & 0o050) | 0o040 },
        );
    await writeVolume(directory, files, group);
    return directory;
  };

  return {
    async ensure(pod, podIPs) {
      const mounted: MountedVolumes = new Map();
      for (const volume of pod.spec.volumes ?? []) {
        try {
          mounted.set(volume.name, await ensureOne(pod, volume, podIPs));
        } catch (error) {
          const message = error instanceof Error ? error.message : String(error);
          throw new Error(`MountVolume.SetUp failed for volume ${JSON.stringify(volume.name)} : ${message}`);
        }
      }
      return mounted;
    },
    async remove(uid) {
      tokens.forget(uid);
      const { base } = podPaths(context.settings, uid);
      for (const path of mountsBelow(base)) await run("umount", [path]).catch(() => run("umount", ["-l", path]));
      await rm(base, { recursive: true, force: true });
    },
  };
}

/** Every file source as the list of a projected volume. */
function sourcesOf(volume: Volume): { list: VolumeProjection[]; mode: number } | undefined {
  if (volume.projected)
    return { list: volume.projected.sources ?? [], mode: volume.projected.defaultMode ?? FILE_MODE };
  if (volume.configMap)
    return { list: [{ configMap: volume.configMap }], mode: volume.configMap.defaultMode ?? FILE_MODE };
  if (volume.downwardAPI)
    return { list: [{ downwardAPI: volume.downwardAPI }], mode: volume.downwardAPI.defaultMode ?? FILE_MODE };
  if (volume.secret) {
    const { secretName, ...rest } = volume.secret;
    return { list: [{ secret: { ...rest, name: secretName } }], mode: rest.defaultMode ?? FILE_MODE };
  }
  return undefined;
}

async function filesOf(
  context: NodeContext,
  references: References,
  tokens: Tokens,
  pod: NodePod,
  source: VolumeProjection,
  mode: number,
  podIPs: string[],
): Promise<Files> {
  const tenant = tenantOf(pod);
  const namespace = pod.metadata.namespace;
  if (source.configMap) {
    const name = source.configMap.name ?? "";
    const object = await references.configMap(tenant, namespace, name);
    if (object === undefined && source.configMap.optional !== true) throw new Error(`configmap "${name}" not found`);
    const data = new Map(Object.entries(object?.data ?? {}).map(([key, value]) => [key, Buffer.from(value)]));
    for (const [key, value] of Object.entries(object?.binaryData ?? {})) data.set(key, Buffer.from(value, "base64"));
    return pick(data, source.configMap.items, source.configMap.optional === true, mode, "config");
  }
  if (source.secret) {
    const name = source.secret.name ?? "";
    const object = await references.secret(tenant, namespace, name);
    if (object === undefined && source.secret.optional !== true) throw new Error(`secret "${name}" not found`);
    const data = new Map(Object.entries(object?.data ?? {}).map(([key, value]) => [key, Buffer.from(value, "base64")]));
    return pick(data, source.secret.items, source.secret.optional === true, mode, "secret");
  }
  if (source.downwardAPI)
    return new Map(
      (source.downwardAPI.items ?? []).map((item) => [
        item.path,
        { data: Buffer.from(downwardText(context, pod, item, podIPs)), mode: item.mode ?? mode },
      ]),
    );
  if (source.serviceAccountToken) {
    const { path, audience, expirationSeconds } = source.serviceAccountToken;
    const token = await tokens.get(pod, audience, expirationSeconds ?? TOKEN_SECONDS);
    const uid = commonUser(pod);
    const restricted = pod.spec.securityContext?.fsGroup !== undefined || uid !== undefined;
    return new Map([
      [path, { data: Buffer.from(token), mode: restricted ? 0o600 : mode, ...(uid === undefined ? {} : { uid }) }],
    ]);
  }
  throw new Error("this kind of projection is not supported on this node");
}

function downwardText(context: NodeContext, pod: NodePod, item: DownwardAPIVolumeFile, podIPs: string[]): string {
  if (item.fieldRef) return fieldValue(pod, item.fieldRef, context.settings, podIPs);
  const ref = item.resourceFieldRef;
  const all = [...pod.spec.containers, ...(pod.spec.initContainers ?? [])];
  const container = all.find((one) => one.name === ref?.containerName);
  if (ref === undefined || container === undefined) throw new Error(`no container for ${item.path}`);
  return resourceValue(container, ref, context.machine);
}

function pick(
  data: Map<string, Buffer>,
  items: KeyToPath[] | undefined,
  optional: boolean,
  mode: number,
  what: "config" | "secret",
): Files {
  const files: Files = new Map();
  if (items === undefined || items.length === 0) {
    for (const [key, value] of data) files.set(key, { data: value, mode });
    return files;
  }
  for (const item of items) {
    const value = data.get(item.key);
    if (value !== undefined) files.set(item.path, { data: value, mode: item.mode ?? mode });
    else if (!optional)
      throw new Error(
        what === "config"
          ? `configmap references non-existent config key: ${item.key}`
          : `references non-existent secret key: ${item.key}`,
      );
  }
  return files;
}

/** The user of all containers, when it is one and said: a token is then his alone. */
function commonUser(pod: NodePod): number | undefined {
  const user = (container: Container) => container.securityContext?.runAsUser ?? pod.spec.securityContext?.runAsUser;
  const users = new Set([...pod.spec.containers, ...(pod.spec.initContainers ?? [])].map(user));
  return users.size === 1 ? [...users][0] : undefined;
}

async function ensureEmptyDir(directory: string, group: number | undefined): Promise<void> {
  await mkdir(directory, { recursive: true });
  const wanted = group === undefined ? 0o777 : 0o2777;
  const info = await stat(directory);
  if (group !== undefined && info.gid !== group) await chown(directory, info.uid, group);
  if ((info.mode & 0o7777) !== wanted) await chmod(directory, wanted);
}

async function ensureTmpfs(directory: string, bytes: number | undefined): Promise<void> {
  await mkdir(directory, { recursive: true });
  if (mountsBelow(directory).includes(directory)) return;
  const options = bytes === undefined || bytes === 0 ? [] : ["-o", `size=${bytes}`];
  await run("mount", ["-t", "tmpfs", ...options, "tmpfs", directory]);
}

/** Mount points at or below a directory, the deepest first. */
function mountsBelow(directory: string): string[] {
  const points = readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) =>
      (line.split(" ")[4] ?? "").replace(/\\([0-7]{3})/g, (_, code: string) =>
        String.fromCharCode(Number.parseInt(code, 8)),
      ),
    );
  return points.filter((point) => point === directory || point.startsWith(`${directory}/`)).reverse();
}

/** volume/host_path: the types a hostPath may ask for. */
async function ensureHostPath({ path, type }: HostPathVolumeSource): Promise<string> {
  if (type === "DirectoryOrCreate" && !existsSync(path)) await mkdir(path, { recursive: true, mode: 0o755 });
  if (type === "FileOrCreate" && !existsSync(path)) {
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, "", { mode: 0o644 });
  }
  if (type === undefined || type === "") return path;
  const info = await stat(path).catch(() => undefined);
  const checks: Record<string, [boolean | undefined, string]> = {
    Directory: [info?.isDirectory(), "is not a directory"],
    DirectoryOrCreate: [info?.isDirectory(), "is not a directory"],
    File: [info?.isFile(), "is not a file"],
    FileOrCreate: [info?.isFile(), "is not a file"],
    Socket: [info?.isSocket(), "is not a socket file"],
    CharDevice: [info?.isCharacterDevice(), "is not a character device"],
    BlockDevice: [info?.isBlockDevice(), "is not a block device"],
  };
  const [fits, why] = checks[type] ?? [false, `has the unknown type ${type}`];
  if (fits !== true) throw new Error(`hostPath type check failed: ${path} ${why}`);
  return path;
}

interface Tokens {
  get(pod: NodePod, audience: string | undefined, seconds: number): Promise<string>;
  forget(uid: string): void;
}

/** Service-account tokens by pod and audience, renewed after 80 % of their life or a day (kubelet/token). */
function createTokens(context: NodeContext): Tokens {
  const kept = new Map<string, { token: string; renewAt: number; expiresAt: number }>();
  return {
    async get(pod, audience, seconds) {
      const key = `${pod.metadata.uid}/${audience ?? ""}/${seconds}`;
      const now = context.clock.now();
      const known = kept.get(key);
      if (known !== undefined && now < known.renewAt) return known.token;
      try {
        const { token, expiresAt } = await context.token(pod, audience, seconds);
        const renewAt = Math.min(now + (expiresAt - now) * 0.8, now + 86_400_000);
        kept.set(key, { token, renewAt, expiresAt });
        return token;
      } catch (error) {
        // One that still holds is better than a pod without.
        if (known !== undefined && now < known.expiresAt) return known.token;
        throw error;
      }
    },
    forget(uid) {
      for (const key of kept.keys()) if (key.startsWith(`${uid}/`)) kept.delete(key);
    },
  };
}
