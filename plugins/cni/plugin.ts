/** The first-party network adapter: pods' interfaces by the reference CNI programs. */
import { readConfig, readHost } from "#sdk/plugin/config.ts";
import { defineNetwork } from "#sdk/plugin/define.ts";
import { run } from "#sdk/plugin/exec.ts";
import * as files from "#sdk/plugin/files.ts";
import type { Settings } from "./configuration.ts";
import { createHooks } from "./hooks.ts";

const fact = (name: "bridge" | "podCIDR" | "secondaryPodCIDR" | "cniDir"): string => String(readHost()[name] ?? "");

export const network = defineNetwork(
  createHooks({
    run,
    files,
    settings: () => ({
      ...readConfig<Pick<Settings, "mtu" | "ipMasq">>(),
      bridge: fact("bridge"),
      podCIDR: fact("podCIDR"),
      secondaryPodCIDR: fact("secondaryPodCIDR"),
      cniDir: fact("cniDir"),
    }),
  }),
);
