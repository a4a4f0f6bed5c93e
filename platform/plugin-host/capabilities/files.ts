/** The capability `files`: text files below one granted directory, never outside of it, by whatever links. */
import { randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, realpath, rename, rm, stat, writeFile } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { denied, hostFailure } from "./failure.ts";

const FILE_BYTES_MAX = 4 * 1024 * 1024;
export type FileVerb = "read" | "write" | "remove" | "list";

const isErrno = (error: unknown, code: string): boolean =>
  error instanceof Error && (error as NodeJS.ErrnoException).code === code;

const inside = (root: string, path: string): boolean => path === root || path.startsWith(root + sep);

/** The path below the tree, its existing part followed through links and still below the tree. */
async function place(tree: string, path: string): Promise<string> {
  if (isAbsolute(path) || path.split("/").includes("..") || path.includes("\0")) throw denied(`the path ${path}`);
  await mkdir(tree, { recursive: true, mode: 0o755 });
  const root = await realpath(tree);
  const wanted = resolve(root, path);
  for (let existing = wanted; inside(root, existing); existing = dirname(existing)) {
    try {
      const real = await realpath(existing);
      if (!inside(root, real)) throw denied(`the path ${path}, which leads out of its tree,`);
      return join(real, relative(existing, wanted));
    } catch (error) {
      if (!isErrno(error, "ENOENT")) throw error;
    }
  }
  throw denied(`the path ${path}`);
}

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
