/**
 * A node's services with a plugin host beside them, as the role "node" has them, in the network namespace of its process. Told by lines of JSON
 * on stdin: {"enabled"} of the plugin, {"services", "slices"} to declare. Prints "ready".
 */
import { createInterface } from "node:readline";
import { createLog } from "#platform/base/log.ts";
import { prepareNodeNetwork } from "#platform/network/host/prepare.ts";
import { runProgram } from "#platform/network/host/program.ts";
import { type EndpointSlice, endpointSlices, type Service, services } from "#platform/network/objects.ts";
import { startProxy } from "#platform/network/proxy/proxy.ts";
import type { ProxySettings } from "#platform/network/proxy/render.ts";
import { createObjectApi } from "#platform/network/testing/objects.ts";
import { createPluginHost } from "#platform/plugin-host/host.ts";
import { createFakeSource } from "#platform/plugin-host/testing/source.ts";
import { createProxyCalls } from "#platform/plugin-host/worlds/v1/proxy.ts";
import { addonReady } from "#sdk/engine/addon.ts";
import type { Plugin } from "#sdk/plugin/manifest.ts";

export interface ServicesProcess {
  componentsDir: string;
  plugin: Plugin;
  settings: ProxySettings;
}
export interface Told {
  enabled?: boolean;
  services?: Service[];
  slices?: EndpointSlice[];
}

/** The text of a program that runs it. */
export const servicesProcess = (o: ServicesProcess): string =>
  `process.argv = [process.argv[0], ${JSON.stringify(import.meta.filename)}, ${JSON.stringify(JSON.stringify(o))}];
   import(${JSON.stringify(import.meta.filename)});`;

async function run({ componentsDir, plugin, settings }: ServicesProcess): Promise<void> {
  const api = createObjectApi();
  const log = createLog("warn");
  const source = createFakeSource([{ ...plugin, spec: { ...plugin.spec, enabled: false } }]);
  const host = createPluginHost({
    role: "node",
    instance: settings.nodeName,
    engine: addonReady() ? "wasmtime" : "jco",
    componentsDir,
    worlds: ["proxy"],
    plugins: source,
    facts: { podCIDR: settings.nodePodCIDR },
    log,
  });
  const component = createProxyCalls(host);
  host.start();
  const { bridge, nodePodCIDR: podCIDR, serviceCIDR } = settings;
  await prepareNodeNetwork({ bridge, podCIDR, serviceCIDR, run: runProgram });
  const signal = new AbortController().signal;
  const proxy = startProxy({ client: api.client, settings, component, log, signal });
  createInterface({ input: process.stdin }).on("line", async (line) => {
    const { enabled, services: declared = [], slices = [] } = JSON.parse(line) as Told;
    if (enabled !== undefined) source.put({ ...plugin, spec: { ...plugin.spec, enabled } });
    for (const service of declared) await api.put(services, service);
    for (const slice of slices) await api.put(endpointSlices, slice);
  });
  await proxy.ready;
  process.stdout.write("ready\n");
}

if (process.argv[1] === import.meta.filename) await run(JSON.parse(process.argv[2] ?? "{}") as ServicesProcess);
