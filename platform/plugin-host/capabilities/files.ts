/** The capability `files`: text files below one granted directory, never outside of it, by whatever links. */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname } from "node:path";
import { hostFailure } from "./failure.ts";
import { isErrno, place } from "./place.ts";

const FILE_BYTES_MAX = 4 * 1024 * 1024;
export type FileVerb = "read" | "write" | "remove" | "list";

export async function useFiles(tree: string, verb: FileVerb, path: string, contents: string): Promise<unknown> {
  const target = await place(tree, path);
  try {
    switch (verb) {
      case "read":
        if ((await stat(target)).size > FILE_BYTES_MAX) throw hostFailure("TooLarge", 413, `${path} is too large`);
        return await readFile(target, "utf8");
      case "write": {
        if (Buffer.byteLength(contents) > FILE_BYTES_MAX) throw hostFailure("TooLarge", 413, `${path} is too large`);
        await mkdir(dirname(target), { recursive: true });
        const beside = `${target}.${randomUUID()}.tmp`;
        await writeFile(beside, contents, { flag: "wx" });
        await rename(beside, target);
        return undefined;
      }
      case "remove":
        await rm(target, { force: true });
        return undefined;
      case "list":
        return (await readdir(target)).sort();
    }
  } catch (error) {
    if (isErrno(error, "ENOENT")) {
      if (verb === "list") return [];
      throw hostFailure("NotFound", 404, `there is no file ${path}`);
    }
    if (error instanceof Error && "code" in error) throw hostFailure("InternalError", 500, error.message);
    throw error;
  }
}
