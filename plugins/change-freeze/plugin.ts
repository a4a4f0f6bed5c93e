import { now } from "#sdk/plugin/clock.ts";
import { readConfig } from "#sdk/plugin/config.ts";
import { defineAuthorizer } from "#sdk/plugin/define.ts";
import { type FreezeConfig, judge } from "./freeze.ts";

export const authorizer = defineAuthorizer({
  authorize: (attributes) => judge(readConfig<FreezeConfig>(), attributes, now()),
});
