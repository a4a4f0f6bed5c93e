/** Paths below a granted directory, never outside of it, by whatever dots or links. */
import { mkdir, realpath } from "node:fs/promises";
import { dirname, isAbsolute, join, relative, resolve, sep } from "node:path";
import { denied } from "./failure.ts";

export const isErrno = (error: unknown, code: string): boolean =>
  error instanceof Error && (error as NodeJS.ErrnoException).code === code;

export const inside = (root: string, path: string): boolean => path === root || path.startsWith(root + sep);

/** The path below the tree, its existing part followed through links and still below the tree. */
export async function place(tree: string, path: string): Promise<string> {
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
