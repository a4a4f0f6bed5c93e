/** The first-party volume adapter: CSI v1 over the socket of a driver. */
import { defineVolume, defineVolumeController, defineVolumeNode } from "#sdk/plugin/define-node.ts";
import { unary } from "#sdk/plugin/grpc.ts";
import { createHooks } from "./hooks.ts";

const hooks = createHooks(unary);
export const volume = defineVolume(hooks.identity);
export const volumeController = defineVolumeController(hooks.controller);
export const volumeNode = defineVolumeNode(hooks.node);
