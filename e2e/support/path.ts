/** A PATH on which some programs cannot be found. */
import { existsSync, mkdirSync, readdirSync, symlinkSync } from "node:fs";
import { join } from "node:path";

/** Fills `directory` with links to all programs of this process's PATH but the named ones; answers it, as the PATH to run with. */
export function pathWithout(names: readonly string[], directory: string): string {
  mkdirSync(directory);
  for (const folder of (process.env["PATH"] ?? "").split(":").filter(existsSync))
    for (const name of readdirSync(folder))
      if (!names.includes(name) && !existsSync(join(directory, name)))
        symlinkSync(join(folder, name), join(directory, name));
  return directory;
}
