/** The first-party adapter for drivers of dynamic resource allocation, over the socket of one. */
import { readHost } from "#sdk/plugin/config.ts";
import { defineDevice } from "#sdk/plugin/define-node.ts";
import { unary } from "#sdk/plugin/grpc.ts";
import { createHooks } from "./hooks.ts";

export const device = defineDevice(createHooks(unary, () => String(readHost()["draDriverService"])));
