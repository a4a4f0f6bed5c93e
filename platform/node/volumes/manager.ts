/** A pod's volumes on this host: made before its containers, kept current, and undone after them. */
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { messageOf } from "#platform/base/log.ts";
import type { Volume } from "#sdk/api/generated/types.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { type NodeContext, type NodePod, podPaths } from "../context.ts";
import type { ClaimWatches } from "../csi/claim-watches.ts";
import { type CsiVolume, type CsiVolumes, claimedCsi, inlineCsi, recordOf } from "../csi/volumes.ts";
import type { References } from "../references.ts";
import { claimedVolume, claimName } from "./claims.ts";
import { createFileVolumes } from "./files.ts";
import { ensureEmptyDir, ensureHostPath, hostPathOf } from "./host.ts";
import { makeShared, unmountBelow } from "./mounts.ts";
import { localMounts, type MountedVolume, setUpNfs, setUpPersistent } from "./persistent.ts";
import { createRecords, type VolumeRecord } from "./records.ts";

/** By the name that the pod gives the volume. */
export type MountedVolumes = Map<string, MountedVolume>;

export interface VolumeManager {
  /** Makes what is missing and refreshes what has changed. Rejects with a message fit for FailedMount. */
  ensure(pod: NodePod, podIPs: string[]): Promise<MountedVolumes>;
  /** There is something to do for the pod before its next look. */
  due(uid: string): boolean;
  /** Takes volumes that outlive the pod from it; its containers have ended. The rest stays for their logs and messages. */
  release(uid: string): Promise<void>;
  /** Unmounts and removes everything of a pod; its containers are gone. */
  remove(uid: string): Promise<void>;
  /** Drivers' volumes that may be mounted here, as a node's status.volumesInUse names them. */
  inUse(): string[];
}

/** Of one driver a volume is known by its handle, of the others by its object. */
const keyOf = ({ volume, csi }: VolumeRecord): string => (csi === undefined ? volume : `${csi.driver}^${csi.handle}`);
const isSame = (a: VolumeRecord, b: VolumeRecord): boolean => keyOf(a) === keyOf(b);

/** What concerns one volume is done one after the other: who leaves last has to know. */
function createTurns() {
  const last = new Map<string, Promise<unknown>>();
  return async <T>(key: string, action: () => Promise<T>): Promise<T> => {
    const turn = (last.get(key) ?? Promise.resolve()).catch(() => undefined).then(action);
    last.set(key, turn);
    try {
      return await turn;
    } finally {
      if (last.get(key) === turn) last.delete(key);
    }
  };
}

/** Directories whose mounts are to be seen by drivers' containers, and theirs by pods'. */
const SHARED = ["pods", "plugins"];

const setUpFailed = (name: string, error: unknown): Error =>
  new Error(`MountVolume.SetUp failed for volume ${JSON.stringify(name)} : ${messageOf(error)}`);

export function createVolumes(
  context: NodeContext,
  references: References,
  csi: CsiVolumes | undefined,
  claims: ClaimWatches,
): VolumeManager {
  const { settings } = context;
  const files = createFileVolumes(context, references);
  const records = createRecords(settings);
  const directoryOf = (uid: string, name: string) => join(podPaths(settings, uid).volumes, name);
  /** Persistent volumes that this agent has set up, by pod. */
  const held = new Map<string, MountedVolumes>();
  let prepared: Promise<unknown> | undefined;
  const prepare = () => {
    // Nobody could mount anything there.
    if (settings.componentsOnly) return Promise.resolve([]);
    prepared ??= Promise.all(SHARED.map((name) => makeShared(join(settings.directory, name))));
    return prepared;
  };
  const isUsedByOther = (uid: string, record: VolumeRecord): boolean =>
    [...records.all()].some(([other, of]) => other !== uid && [...of.values()].some((one) => isSame(one, record)));
  const inTurn = createTurns();

  const hold = async (
    uid: string,
    name: string,
    shown: string,
    setUp: () => Promise<MountedVolume>,
  ): Promise<MountedVolume> => {
    const mounted = await setUp().catch((error: unknown) => {
      throw setUpFailed(shown, error);
    });
    const all: MountedVolumes = held.get(uid) ?? new Map();
    held.set(uid, all.set(name, mounted));
    return mounted;
  };

  const ensureCsi = async (pod: NodePod, volume: CsiVolume, name: string): Promise<MountedVolume> => {
    if (csi === undefined) throw new Error("this node has no volume drivers");
    const record = { volume: name, csi: recordOf(volume) };
    return await inTurn(keyOf(record), async () => {
      await records.put(pod.metadata.uid, volume.name, record);
      return await csi.setUp(pod, volume);
    });
  };

  /** Containers that run go on whatever becomes of it. */
  const grow = async (pod: NodePod, volume: Volume, mounted: MountedVolume): Promise<void> => {
    const name = claimName(pod.metadata.name, volume);
    const driven = records.of(pod.metadata.uid).get(volume.name)?.csi;
    if (name === undefined || driven === undefined || driven.inline) return;
    await csi?.expand({ pod, claimName: name, mounted }).catch((error: unknown) => {
      const message = `MountVolume.NodeExpandVolume failed for volume ${JSON.stringify(name)} : ${messageOf(error)}`;
      context.recorder.event(pod, "Warning", "VolumeResizeFailed", message);
    });
  };

  const ensurePersistent = async (pod: NodePod, volume: Volume): Promise<MountedVolume> => {
    const { uid } = pod.metadata;
    const known = held.get(uid)?.get(volume.name);
    if (known !== undefined) {
      await grow(pod, volume, known);
      return known;
    }
    const inline = inlineCsi(pod, volume);
    if (inline !== undefined)
      return await hold(uid, volume.name, volume.name, () => ensureCsi(pod, inline, inline.handle));
    const claimed = await claimedVolume(context, pod, volume).catch((error: unknown) => {
      const list = `[${volume.name}]`;
      throw new Error(
        `Unable to attach or mount volumes: unmounted volumes=${list}, unattached volumes=${list}, failed to process volumes=${list}: ${messageOf(error)}`,
      );
    });
    if (claimed === undefined)
      throw new Error(`volume ${JSON.stringify(volume.name)}: this kind of volume is not supported on this node`);
    const name = claimed.volume.metadata.name ?? "";
    return await hold(uid, volume.name, name, async () => {
      const driven = claimedCsi(volume.name, claimed);
      // Two tenants may have volumes of one name.
      const record: VolumeRecord = { volume: `${tenantOf(pod)}_${name}` };
      if (driven !== undefined) {
        claims.follow(pod, claimed.claim.metadata.name ?? "");
        return await ensureCsi(pod, driven, record.volume);
      }
      return await inTurn(keyOf(record), async () => {
        await records.put(uid, volume.name, record);
        const root = join(localMounts(settings), record.volume);
        const parts = { context, root, isUsedByOther: () => isUsedByOther(uid, record) };
        return await setUpPersistent(parts, pod, claimed, directoryOf(uid, volume.name));
      });
    });
  };

  const ensureOwn = async (pod: NodePod, volume: Volume, podIPs: string[]): Promise<MountedVolume | undefined> => {
    const path = directoryOf(pod.metadata.uid, volume.name);
    const { hostPath, emptyDir, nfs } = volume;
    if (hostPath) return { path: await ensureHostPath(hostPath, hostPathOf(hostPath.path, settings.directory)) };
    if (nfs) return await setUpNfs(nfs, path);
    if (emptyDir) {
      const { componentsOnly } = settings;
      const group = componentsOnly ? undefined : pod.spec.securityContext?.fsGroup;
      await ensureEmptyDir(path, componentsOnly ? {} : emptyDir, group);
      return { path };
    }
    return (await files.ensure(pod, volume, path, podIPs)) ? { path } : undefined;
  };

  const release = async (uid: string): Promise<void> => {
    held.delete(uid);
    claims.forget(uid);
    const mine = records.of(uid);
    if (mine.size === 0) return;
    await unmountBelow(podPaths(settings, uid).subPaths);
    for (const [name, record] of mine)
      await inTurn(keyOf(record), async () => {
        const last = !isUsedByOther(uid, record);
        if (record.csi !== undefined) await csi?.tearDown(uid, name, record.csi, last);
        await unmountBelow(directoryOf(uid, name));
        if (last) await unmountBelow(join(localMounts(settings), record.volume));
        await records.remove(uid, name);
      });
  };

  return {
    async ensure(pod, podIPs) {
      await prepare();
      const mounted: MountedVolumes = new Map();
      for (const volume of pod.spec.volumes ?? []) {
        const own = await ensureOwn(pod, volume, podIPs).catch((error: unknown) => {
          throw setUpFailed(volume.name, error);
        });
        mounted.set(volume.name, own ?? (await ensurePersistent(pod, volume)));
      }
      return mounted;
    },
    due: claims.wait,
    release,
    inUse() {
      const all = [...records.all().values()].flatMap((of) => [...of.values()]);
      const driven = all.flatMap(({ csi: one }) => (one === undefined || one.inline ? [] : [one]));
      return [...new Set(driven.map(({ driver, handle }) => `kubernetes.io/csi/${driver}^${handle}`))].sort();
    },
    async remove(uid) {
      files.forget(uid);
      await release(uid);
      const { base } = podPaths(settings, uid);
      await unmountBelow(base);
      await rm(base, { recursive: true, force: true });
    },
  };
}
