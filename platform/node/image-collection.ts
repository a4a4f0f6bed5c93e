/** Images that no container uses are removed when their disk fills up, the longest unused first (kubernetes/pkg/kubelet/images). */
import { messageOf } from "#platform/base/log.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import type { NodeContext } from "./context.ts";
import type { Image } from "./cri.ts";
import { fsStats } from "./stats/summary.ts";

/** Free space below which images go, and up to which: the kubelet's 85 and 80 percent, bounded for large disks (decisions/045). */
export const FREE_MIN = { share: 0.15, most: 10 * 2 ** 30 };
export const FREE_WANTED = { share: 0.2, most: 15 * 2 ** 30 };
/** A pulled image is left to the pod that is about to use it. */
const AGE_MS_MIN = 120_000;

export interface ImageCollection {
  /** Frees space when the disk is fuller than it should be. To be called every five minutes or so. */
  collect(): Promise<void>;
  /** Removes every image that nothing uses. Answers the bytes that they had. */
  removeUnused(): Promise<number>;
}

export interface ImageCollectionParts {
  context: NodeContext;
  node: KubeObject;
  /** Bytes of the disk that images are on. */
  disk?: () => Promise<{ capacityBytes: number; availableBytes: number }>;
}

interface Known {
  seenAt: number;
  usedAt: number;
}

export function createImageCollection({ context, node, disk }: ImageCollectionParts): ImageCollection {
  const { runtime, clock, recorder, log, settings } = context;
  const known = new Map<string, Known>();
  const measure = disk ?? (() => fsStats(settings.directory, clock.now()));

  /** Those that may go, the longest unused first. */
  const unused = async (): Promise<Image[]> => {
    const [images, containers] = await Promise.all([runtime.listImages(), runtime.listContainers()]);
    const now = clock.now();
    const used = new Set(containers.flatMap(({ image, imageRef }) => [image?.image ?? "", imageRef ?? ""]));
    // One that came from an archive has no registry's digest: nobody could get it back.
    const canReturn = ({ repoDigests = [] }: Image) => repoDigests.length > 0;
    const isUsed = ({ id, repoTags, repoDigests }: Image) =>
      [id, ...(repoTags ?? []), ...(repoDigests ?? [])].some((name) => used.has(name));
    const ids = new Set(images.map(({ id }) => id));
    for (const id of known.keys()) if (!ids.has(id)) known.delete(id);
    for (const image of images) {
      const before = known.get(image.id) ?? { seenAt: now, usedAt: 0 };
      known.set(image.id, isUsed(image) ? { ...before, usedAt: now } : before);
    }
    const at = (image: Image): Known => known.get(image.id) ?? { seenAt: now, usedAt: now };
    return images
      .filter(
        (image) => image.pinned !== true && canReturn(image) && !isUsed(image) && now - at(image).seenAt >= AGE_MS_MIN,
      )
      .sort((a, b) => at(a).usedAt - at(b).usedAt || at(a).seenAt - at(b).seenAt);
  };

  /** Stops when that much is free. */
  const free = async (bytes: number): Promise<number> => {
    let freed = 0;
    for (const image of await unused()) {
      if (freed >= bytes) break;
      try {
        await runtime.removeImage(image.id);
        freed += Number(image.size ?? 0);
        log.info("an image that nothing uses is removed", {
          image: image.repoTags?.[0] ?? image.id,
          bytes: image.size,
        });
      } catch (error) {
        log.warn("an image could not be removed", { image: image.id, error: messageOf(error) });
      }
    }
    return freed;
  };

  return {
    removeUnused: () => free(Number.POSITIVE_INFINITY),
    async collect() {
      const { capacityBytes, availableBytes } = await measure();
      const part = ({ share, most }: typeof FREE_MIN) => Math.min(Math.floor(capacityBytes * share), most);
      if (availableBytes >= part(FREE_MIN)) return void (await unused());
      const wanted = part(FREE_WANTED) - availableBytes;
      const freed = await free(wanted);
      if (freed >= wanted) return;
      const message = `Failed to garbage collect required amount of images. Attempted to free ${wanted} bytes, but only found ${freed} bytes eligible to free.`;
      recorder.event(node, "Warning", "FreeDiskSpaceFailed", message);
    },
  };
}
