/** Simulated nodes in a running instance, until it is told to stop. */
import { createLog } from "#platform/base/log.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Command } from "../command.ts";
import { paths, readConfig } from "../config.ts";
import { startSimulator } from "../simulation/simulator.ts";

const NODES = 100;

export const simulate: Command = {
  usage: "simulate --nodes N",
  help: "N nodes without machines, whose pods live by rules, until interrupted (kubectl delete node -l capstan.dev/simulated)",
  async run(options) {
    const nodes = options.nodes ?? NODES;
    readConfig(options.dataDir);
    const kubeconfig = loadKubeconfig(paths(options.dataDir).kubeconfig);
    const client = createClient({ ...kubeconfig, userAgent: "capstan-simulate" });
    const stopping = new AbortController();
    for (const signal of ["SIGTERM", "SIGINT"] as const) process.once(signal, () => stopping.abort());
    const simulator = startSimulator({ client, log: createLog("info"), nodes, signal: stopping.signal });
    await simulator.ready;
    process.stdout.write(`${nodes} simulated nodes are ready\n`);
    await simulator.done;
    client.close();
    return 0;
  },
};
