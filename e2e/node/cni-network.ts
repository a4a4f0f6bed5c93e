/** A network for tests of the agent alone: Debian's bridge and host-local, called as CNI says, without a component. */
import { spawn } from "node:child_process";
import { join } from "node:path";
import { buffer } from "node:stream/consumers";
import type { Network, NetworkResult, PodNetwork } from "#platform/node/ports.ts";

const PROGRAMS = "/usr/lib/cni";

export function cniNetwork(bridge: string, subnet: string, dataDir: string): Network {
  const config = {
    cniVersion: "0.4.0",
    name: bridge,
    type: "bridge",
    bridge,
    isGateway: true,
    ipMasq: false,
    ipam: {
      type: "host-local",
      dataDir: join(dataDir, "ipam"),
      ranges: [[{ subnet }]],
      routes: [{ dst: "0.0.0.0/0" }],
    },
  };
  const call = async (command: string, pod: PodNetwork): Promise<string> => {
    const child = spawn(join(PROGRAMS, "bridge"), {
      env: {
        PATH: process.env["PATH"],
        CNI_COMMAND: command,
        CNI_CONTAINERID: pod.containerId,
        CNI_NETNS: pod.netns,
        CNI_IFNAME: pod.ifname,
        CNI_PATH: PROGRAMS,
      },
    });
    child.stdin.end(JSON.stringify(config));
    const [said, code] = await Promise.all([
      buffer(child.stdout),
      new Promise<number | null>((resolve) => child.on("close", resolve)),
    ]);
    if (code !== 0) throw new Error(`${command}: ${said.toString()}`);
    return said.toString();
  };
  return {
    add: async (pod) => JSON.parse(await call("ADD", pod)) as NetworkResult,
    del: async (pod) => void (await call("DEL", pod)),
    check: async () => undefined,
    status: async () => undefined,
    gc: async () => undefined,
  };
}
