/**
 * Which persistent volumes a pod has on this node, kept in its directory: pods/UID/persistent/VOLUME.json. Written before anything is
 * done for the volume and removed when all of it is undone, so that whoever starts after a crash knows what may be there.
 */
import { readdirSync, readFileSync } from "node:fs";
import { mkdir, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { NodeSettings } from "../context.ts";

const recordShape = z.object({
  /** The PersistentVolume's name, or the pod's own for a volume without one. */
  volume: z.string(),
  /** Set for a volume of a CSI driver: what is needed to undo it. */
  csi: z
    .object({
      driver: z.string(),
      handle: z.string(),
      block: z.boolean(),
      /** The pod's own: made and removed with it by the driver. */
      inline: z.boolean(),
    })
    .optional(),
});
export type VolumeRecord = z.infer<typeof recordShape>;

const podsOf = (settings: NodeSettings): string => join(settings.directory, "pods");
const recordsOf = (settings: NodeSettings, uid: string): string => join(podsOf(settings), uid, "persistent");

function names(directory: string): string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

export interface VolumeRecords {
  put(uid: string, name: string, record: VolumeRecord): Promise<void>;
  remove(uid: string, name: string): Promise<void>;
  /** By the name that the pod gives the volume. */
  of(uid: string): Map<string, VolumeRecord>;
  /** Of every pod that has any. */
  all(): Map<string, Map<string, VolumeRecord>>;
}

export function createRecords(settings: NodeSettings): VolumeRecords {
  const of = (uid: string): Map<string, VolumeRecord> => {
    const directory = recordsOf(settings, uid);
    const files = names(directory).filter((file) => file.endsWith(".json"));
    return new Map(
      files.map((file) => [
        file.slice(0, -".json".length),
        recordShape.parse(JSON.parse(readFileSync(join(directory, file), "utf8"))),
      ]),
    );
  };
  return {
    of,
    all: () =>
      new Map(
        names(podsOf(settings))
          .map((uid) => [uid, of(uid)] as const)
          .filter(([, found]) => found.size > 0),
      ),
    async put(uid, name, record) {
      const directory = recordsOf(settings, uid);
      await mkdir(directory, { recursive: true });
      const file = join(directory, `${name}.json`);
      await writeFile(`${file}.new`, JSON.stringify(record));
      await rename(`${file}.new`, file);
    },
    remove: (uid, name) => rm(join(recordsOf(settings, uid), `${name}.json`), { force: true }),
  };
}
