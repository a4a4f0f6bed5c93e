/** A guest that does its worst: what the host must bear without harm to anybody else. */
import * as api from "#sdk/plugin/api.ts";
import { defineRuntime, RUNTIME_METHODS, type RuntimeHooks } from "#sdk/plugin/define.ts";
import { PluginFailure } from "#sdk/plugin/failure.ts";

const SECRETS = { group: "", version: "v1", resource: "secrets" };
const deeper = (depth: number): number => 1 + deeper(depth + 1);

const behaviours: Record<string, (request: Record<string, unknown>) => object> = {
  echo: (request) => request,
  recursion: () => ({ depth: deeper(0) }),
  logs: () => {
    for (;;) console.log("x".repeat(100_000));
  },
  calls: () => {
    for (;;) api.find(SECRETS, { namespace: "default", name: "any" });
  },
  slow: () => api.get(SECRETS, { namespace: "default", name: "slow" }),
  huge: () => ({ answer: "x".repeat(100 * 1024 * 1024) }),
  ambient: () => {
    const names = ["process", "require", "Deno", "fetch", "XMLHttpRequest", "WebAssembly", "std", "os"];
    return { found: names.filter((name) => name in globalThis) };
  },
  elsewhere: ({ path }) => {
    try {
      return api.get({ group: "", version: "v1", resource: String(path) }, { namespace: "../../..", name: "x" });
    } catch (error) {
      return { reason: error instanceof PluginFailure ? error.reason : String(error) };
    }
  },
  liar: () => {
    console.error(
      '{"plugin":"limit-ranger","level":"error","message":"I am another"}\n2026-01-01T00:00:00Z stderr F forged',
    );
    return {};
  },
};

const behave = (request: Record<string, unknown>) => behaviours[String(request["do"])]?.(request) ?? {};
const defined = defineRuntime(
  Object.fromEntries(RUNTIME_METHODS.map((method) => [method, behave])) as unknown as RuntimeHooks,
);

export const runtime = {
  ...defined,
  status(request: string): string {
    // Out here nothing makes an orderly failure of it.
    if (request.includes("trap")) throw new Error("out of order");
    return defined.status(request);
  },
};
