import { existsSync } from "node:fs";
import type { Command } from "../command.ts";
import { readConfig } from "../config.ts";
import { imageLoad } from "../images.ts";
import { componentLoad, imageBuild } from "../images-wasm.ts";
import { step, UserError } from "../steps.ts";

export const image: Command = {
  usage: "image load|build",
  help: "load FILE: a docker or OCI archive, or a component (--name NAME), into every node; build FOLDER --name NAME: a pod's component",
  async run(options, [verb, what]) {
    if ((verb !== "load" && verb !== "build") || what === undefined)
      throw new UserError("image takes: load FILE, or build FOLDER --name NAME", "npx capstan image load FILE");
    const config = readConfig(options.dataDir);
    const names = await (verb === "build"
      ? step(`building ${what}`, () => imageBuild(config, what, options.name))
      : load());
    for (const name of names) process.stdout.write(`  ${name}\n`);
    return 0;

    async function load(): Promise<string[]> {
      const file = what ?? "";
      if (!existsSync(file)) throw new UserError(`there is no file ${file}`, "docker save IMAGE -o FILE   # makes one");
      return await step(
        `loading ${file}`,
        async () => (await componentLoad(config, file, options.name)) ?? (await imageLoad(config, file)),
      );
    }
  },
};
