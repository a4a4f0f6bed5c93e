/** The first-party runtime adapter: CRI v1 over the node's containerd socket. */
import { defineRuntime } from "#sdk/plugin/define.ts";
import { unary } from "#sdk/plugin/grpc.ts";
import { createHooks } from "./hooks.ts";

export const runtime = defineRuntime(createHooks(unary));
