import { defineRuntime, RUNTIME_METHODS, type RuntimeHooks } from "#sdk/plugin/define.ts";
import { failure } from "#sdk/plugin/failure.ts";

const unimplemented =
  (method: string) =>
  (_request: Record<string, unknown>): object => {
    throw failure("Unimplemented", `${method} is not implemented`, 12);
  };

/** Requests and answers are the CRI's messages (runtime.v1). Use "#sdk/plugin/grpc.ts" to reach a runtime's socket. */
export const runtime = defineRuntime({
  ...(Object.fromEntries(RUNTIME_METHODS.map((method) => [method, unimplemented(method)])) as RuntimeHooks),
  version: () => ({ version: "0.1.0", runtimeName: "NAME", runtimeVersion: "0.1.0", runtimeApiVersion: "v1" }),
});
