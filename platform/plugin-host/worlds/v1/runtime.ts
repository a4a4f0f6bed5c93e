/** World runtime: one enabled plugin answers for the node's container runtime. */
import type { PluginHost } from "../../host.ts";
import { only } from "./only.ts";

/** Hook names are the WIT's in camelCase; requests and answers are JSON text. Rejects with PluginCallError: `code` is the gRPC status. */
export type CallRuntime = (hook: string, request: string, deadlineMs: number) => Promise<string>;

export const createRuntimeCalls =
  (host: PluginHost): CallRuntime =>
  async (hook, request, deadlineMs) =>
    String(await only(host, "runtime", hook).call("runtime-hooks", hook, [request], { deadlineMs }));
