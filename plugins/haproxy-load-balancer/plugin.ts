/** The first-party load balancer: Services of type LoadBalancer by HAProxy. */
import * as api from "#sdk/plugin/api.ts";
import { now } from "#sdk/plugin/clock.ts";
import { readConfig, readHost } from "#sdk/plugin/config.ts";
import { defineController } from "#sdk/plugin/define.ts";
import { run } from "#sdk/plugin/exec.ts";
import * as files from "#sdk/plugin/files.ts";
import { createHooks } from "./reconcile.ts";

export const controller = defineController(
  createHooks({
    api,
    run,
    files,
    now,
    settings: () => ({
      pool: readConfig<{ pool?: string }>().pool ?? "",
      link: String(readHost()["balancerLink"] ?? "capstan-lb"),
      directory: String(readHost()["balancerDir"] ?? ""),
    }),
  }),
);
