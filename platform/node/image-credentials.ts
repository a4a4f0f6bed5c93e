/**
 * Which credentials an image on this node was pulled with (KEP-2535): a pod that has others, or none, does not get it from the node's store without
 * asking the registry. Kept in files, since images outlive the agent; secrets only as digests. What came from an archive is everybody's.
 */
import { createHash } from "node:crypto";
import { mkdir, readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import type { NodeSettings } from "./context.ts";
import type { PullAuth } from "./ports.ts";

/** The registry gave it to anybody. */
const ANYBODY = "anybody";
const DIGESTS_MAX = 100;

const recordShape = z.object({ pulledBy: z.array(z.string()) });

const digestOf = (auth: PullAuth | undefined): string =>
  auth === undefined
    ? ANYBODY
    : createHash("sha256")
        .update(JSON.stringify([auth.username, auth.password, auth.auth, auth.identityToken, auth.serverAddress]))
        .digest("hex");

export interface ImageCredentials {
  mayUse(imageId: string, auth: PullAuth | undefined): Promise<boolean>;
  /** The registry gave the image for these. `before`: the id that the image's name had on this node until then. */
  pulled(imageId: string, auth: PullAuth | undefined, before: string | undefined): Promise<void>;
}

export function createImageCredentials(settings: NodeSettings): ImageCredentials {
  const directory = join(settings.directory, "image-pulls");
  const fileOf = (imageId: string) => join(directory, `${createHash("sha256").update(imageId).digest("hex")}.json`);
  const read = async (imageId: string): Promise<string[] | undefined> => {
    const text = await readFile(fileOf(imageId), "utf8").catch(() => undefined);
    return text === undefined ? undefined : recordShape.parse(JSON.parse(text)).pulledBy;
  };
  return {
    async mayUse(imageId, auth) {
      const pulledBy = await read(imageId);
      return pulledBy === undefined || pulledBy.includes(ANYBODY) || pulledBy.includes(digestOf(auth));
    },
    async pulled(imageId, auth, presentId) {
      const known = await read(imageId);
      // It was everybody's, and stays so.
      if (known === undefined && presentId === imageId) return;
      const before = known ?? [];
      const digest = digestOf(auth);
      if (before.includes(digest)) return;
      await mkdir(directory, { recursive: true, mode: 0o700 });
      const file = fileOf(imageId);
      await writeFile(`${file}.new`, JSON.stringify({ pulledBy: [...before, digest].slice(-DIGESTS_MAX) }), {
        mode: 0o600,
      });
      await rename(`${file}.new`, file);
    },
  };
}
