/** The first-party device adapter: the device plugin API over the socket of a plugin. */
import { readHost } from "#sdk/plugin/config.ts";
import { defineDevice } from "#sdk/plugin/define-node.ts";
import { latest, unary } from "#sdk/plugin/grpc.ts";
import { createHooks } from "./hooks.ts";

export const device = defineDevice(createHooks({ unary, latest }, () => String(readHost()["devicePluginResource"])));
