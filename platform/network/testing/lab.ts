/** For tests: a "node" and "pods" as throw-away network namespaces, with real programs in them. Needs root. */
import { type ChildProcess, spawn } from "node:child_process";
import { randomBytes } from "node:crypto";
import { once } from "node:events";
import { missingForNetwork } from "../host/prepare.ts";
import { inNamespace, mustRun, type RunProgram, runProgram } from "../host/program.ts";

/** Why this machine cannot run such tests; undefined when it can. */
export async function cannotRunLab(): Promise<string | undefined> {
  if (process.getuid?.() !== 0) return "needs root for network namespaces";
  const missing = await missingForNetwork(runProgram);
  return missing.length > 0 ? missing.join("; ") : undefined;
}

export interface Lab {
  /** Unique to this lab: names of namespaces and instances can be made of it. */
  id: string;
  /** A namespace with loopback up. */
  namespace(name: string): Promise<{ name: string; run: RunProgram }>;
  /** A node program inside a namespace; resolves when it has printed its first line. */
  node(namespace: string, script: string): Promise<ChildProcess>;
  close(): Promise<void>;
}

export function createLab(): Lab {
  const id = randomBytes(3).toString("hex");
  const namespaces: string[] = [];
  const children: ChildProcess[] = [];
  return {
    id,
    async namespace(name) {
      const full = `captest-${id}-${name}`;
      await mustRun(runProgram, "ip", ["netns", "add", full]);
      namespaces.push(full);
      const run = inNamespace(full);
      await mustRun(run, "ip", ["link", "set", "dev", "lo", "up"]);
      return { name: full, run };
    },
    async node(namespace, script) {
      const child = spawn("nsenter", [`--net=/run/netns/${namespace}`, "--", process.execPath, "-e", script], {
        stdio: ["ignore", "pipe", "inherit"],
      });
      children.push(child);
      await Promise.race([once(child.stdout!, "data"), once(child, "exit")]);
      if (child.exitCode !== null) throw new Error(`the program in ${namespace} ended with ${child.exitCode}`);
      return child;
    },
    async close() {
      for (const child of children) {
        if (child.exitCode !== null || child.signalCode !== null) continue;
        child.kill("SIGKILL");
        await once(child, "exit");
      }
      for (const name of namespaces) await runProgram("ip", ["netns", "delete", name]);
    },
  };
}

/** Waits until a condition holds; fails with its description when it does not in time. */
export async function until(what: string, condition: () => Promise<boolean>, within_ms = 15_000): Promise<void> {
  const deadline = Date.now() + within_ms;
  while (!(await condition())) {
    if (Date.now() > deadline) throw new Error(`did not happen in ${within_ms} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** An HTTP server that answers its name and who asks; UDP on the same port answers its name. */
export const echoServer = (name: string, port: number, address = "0.0.0.0"): string => `
  require("node:http").createServer((q, a) => a.end(${JSON.stringify(name)} + " " + q.socket.remoteAddress)).listen(${port}, ${JSON.stringify(address)}, () => {
    const udp = require("node:dgram").createSocket("udp4");
    udp.on("message", (m, from) => udp.send(${JSON.stringify(name)}, from.port, from.address));
    udp.bind(${port}, () => console.log("ready"));
  });`;

/** A pod by hand: a namespace on a bridge of a node, with an address and a gateway, as the CNI programs would make it. */
export async function joinBridge(
  node: RunProgram,
  pod: { name: string; run: RunProgram },
  o: {
    link: string;
    bridge: string;
    address: string;
    gateway: string;
    second?: { address: string; gateway: string };
  },
): Promise<void> {
  await mustRun(node, "ip", ["link", "add", o.link, "type", "veth", "peer", "name", "eth0", "netns", pod.name]);
  await mustRun(node, "ip", ["link", "set", "dev", o.link, "master", o.bridge, "up"]);
  await mustRun(node, "ip", ["link", "set", "dev", o.link, "type", "bridge_slave", "hairpin", "on"]);
  await mustRun(pod.run, "ip", ["address", "add", `${o.address}/24`, "dev", "eth0"]);
  await mustRun(pod.run, "ip", ["link", "set", "dev", "eth0", "up"]);
  await mustRun(pod.run, "ip", ["route", "add", "default", "via", o.gateway]);
  if (!o.second) return;
  await mustRun(pod.run, "ip", ["address", "add", `${o.second.address}/64`, "dev", "eth0", "nodad"]);
  await mustRun(pod.run, "ip", ["route", "add", "default", "via", o.second.gateway]);
}

/** A program for node -e that prints what a DNS server says of a type of record, or the error's code. */
export const resolveRecord = (server: string, name: string, type: "AAAA" | "PTR"): string =>
  `const r = new (require("node:dns").promises.Resolver)({ timeout: 2000, tries: 2 }); r.setServers([${JSON.stringify(server)}]);
   r.resolve(${JSON.stringify(name)}, ${JSON.stringify(type)}).then((a) => console.log(a.join()), (e) => console.log(e.code));`;

/** A program for node -e that prints the addresses a DNS server says, or the error's code. */
export const resolveName = (server: string, name: string): string =>
  `const r = new (require("node:dns").promises.Resolver)({ timeout: 2000, tries: 2 }); r.setServers([${JSON.stringify(server)}]);
   r.resolve4(${JSON.stringify(name)}).then((a) => console.log(a.join()), (e) => console.log(e.code));`;
