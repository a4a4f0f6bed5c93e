/** Volumes made of files that this agent writes: configMap, secret, downwardAPI and projected. */
import type {
  Container,
  DownwardAPIVolumeFile,
  KeyToPath,
  Volume,
  VolumeProjection,
} from "#sdk/api/generated/types.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { type VolumeFile, writeVolume } from "../atomic-writer.ts";
import type { NodeContext, NodePod } from "../context.ts";
import { fieldValue, resourceValue } from "../fields.ts";
import type { References } from "../references.ts";
import { makeTmpfs } from "./mounts.ts";

const FILE_MODE = 0o644;
const TOKEN_SECONDS = 3600;
/** By path within the volume. */
type Files = Map<string, VolumeFile>;

export interface FileVolumes {
  /** Writes the volume when what it is made of has changed; false for a volume that is not made of files. */
  ensure(pod: NodePod, volume: Volume, directory: string, podIPs: string[]): Promise<boolean>;
  forget(uid: string): void;
}

export function createFileVolumes(context: NodeContext, references: References): FileVolumes {
  const tokens = createTokens(context);
  return {
    async ensure(pod, volume, directory, podIPs) {
      const sources = sourcesOf(volume);
      if (sources === undefined) return false;
      const { componentsOnly } = context.settings;
      // Without rights all of the node's files are one user's.
      const group = componentsOnly ? undefined : pod.spec.securityContext?.fsGroup;
      const secret = sources.list.some(
        (source) => source.secret !== undefined || source.serviceAccountToken !== undefined,
      );
      if (secret && !componentsOnly) await makeTmpfs(directory, undefined);
      const files: Files = new Map();
      for (const source of sources.list)
        for (const [path, file] of await filesOf(context, references, tokens, pod, source, sources.mode, podIPs))
          files.set(
            path,
            group === undefined ? file : { ...file, mode: file.mode | (((file.mode & 0o700) >> 3) & 0o050) | 0o040 },
          );
      writeVolume(directory, files, group);
      return true;
    },
    forget: (uid) => tokens.forget(uid),
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
