import { existsSync } from "node:fs";
import type { Command } from "../cli.ts";
import { readConfig } from "../config.ts";
import { imageLoad } from "../images.ts";
import { step, UserError } from "../steps.ts";

export const image: Command = {
  usage: "image load FILE",
  help: "load a docker or OCI archive into every node",
  async run(options, [verb, file]) {
    if (verb !== "load" || file === undefined)
      throw new UserError("image takes: load FILE", "npx capstan image load FILE");
    if (!existsSync(file)) throw new UserError(`there is no file ${file}`, "docker save IMAGE -o FILE   # makes one");
    const names = await step(`loading ${file}`, () => imageLoad(readConfig(options.dataDir), file));
    for (const name of names) process.stdout.write(`  ${name}\n`);
    return 0;
  },
};
