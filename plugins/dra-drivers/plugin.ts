/** The first-party adapter for drivers of dynamic resource allocation, over the socket of one. */
import { now } from "#sdk/plugin/clock.ts";
import { readHost } from "#sdk/plugin/config.ts";
import { defineDevice } from "#sdk/plugin/define-node.ts";
import { latest, unary } from "#sdk/plugin/grpc.ts";
import { createHooks } from "./hooks.ts";

const driver = () => {
  const { draDriverService, draDriverHealth } = readHost();
  return { service: String(draDriverService), health: draDriverHealth === true };
};

export const device = defineDevice(createHooks({ unary, latest }, driver, now));
