/** Network namespaces for sandboxes of components, on nodes that may make some: by their names, as `ip netns` keeps them. */
import { existsSync } from "node:fs";
import { mustRun, type RunProgram, runProgram } from "#platform/network/host/program.ts";
import type { WasmRuntimeOptions } from "#platform/node/wasm/runtime.ts";

const prefixOf = (instance: string): string => `capwasm-${instance}-`;
const directory = "/run/netns";
/** Of a sandbox's id, behind its prefix: enough to tell those of a machine apart. */
const ID_CHARACTERS = 16;

export function componentNamespaces(
  instance: string,
  run: RunProgram = runProgram,
): NonNullable<WasmRuntimeOptions["namespaces"]> {
  const nameOf = (id: string) => prefixOf(instance) + id.replace(/^.*-/, "").slice(0, ID_CHARACTERS);
  return {
    async make(id) {
      const name = nameOf(id);
      await mustRun(run, "ip", ["netns", "add", name]);
      await mustRun(run, "ip", ["-n", name, "link", "set", "dev", "lo", "up"]);
      return `${directory}/${name}`;
    },
    async remove(id) {
      const name = nameOf(id);
      if (existsSync(`${directory}/${name}`)) await mustRun(run, "ip", ["netns", "delete", name]);
    },
  };
}

/** Those that a node left behind; answers a line where there were some. */
export async function removeComponentNamespaces(instance: string, run: RunProgram = runProgram): Promise<string[]> {
  const listed = (await run("ip", ["netns", "list"])).stdout.split("\n").map((line) => line.split(" ")[0] ?? "");
  const ours = listed.filter((name) => name.startsWith(prefixOf(instance)));
  for (const name of ours) await run("ip", ["netns", "delete", name]);
  return ours.length > 0 ? [`${ours.length} network namespaces of pods are removed`] : [];
}
