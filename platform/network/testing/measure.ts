/**
 * Figures of this machine, for people: `node platform/network/testing/measure.ts services [COUNT]` (from a change in the API to the rules in the
 * kernel; needs root), or `… dns` (questions a second of one node's server).
 */
import { fork } from "node:child_process";
import { createSocket } from "node:dgram";
import { once } from "node:events";
import packet from "dns-packet";
import { silentLog } from "#platform/base/log.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { startDns } from "../dns/dns.ts";
import type { RunProgram } from "../host/program.ts";
import { endpointSlices, services } from "../objects.ts";
import { startProxy } from "../proxy/proxy.ts";
import { createLab } from "./lab.ts";
import { createObjectApi, type ObjectApi } from "./objects.ts";

const CHANGES = 100;
const QUESTIONS = 60_000;
const ENDPOINTS = 3;
const SOCKETS = 8;
const IN_FLIGHT = 40;

const spread = (base: string, n: number) => `${base}.${(n >> 8) & 255}.${n & 255}`;
const service = (i: number): KubeObject => ({
  metadata: { name: `s${i}`, namespace: "default" },
  ...{ spec: { type: "ClusterIP", clusterIP: spread("10.78", i + 1), ports: [{ name: "http", port: 80 }] } },
});
const slice = (i: number, shift: number): KubeObject => ({
  metadata: { name: `s${i}-1`, namespace: "default", labels: { "kubernetes.io/service-name": `s${i}` } },
  ...{
    addressType: "IPv4",
    ports: [{ name: "http", protocol: "TCP", port: 8080 }],
    endpoints: Array.from({ length: ENDPOINTS }, (_, k) => ({
      addresses: [spread("10.77", i * ENDPOINTS + k + shift)],
    })),
  },
});

async function declared(count: number): Promise<ObjectApi> {
  const api = createObjectApi();
  for (let i = 0; i < count; i++) {
    await api.put(services, service(i));
    await api.put(endpointSlices, slice(i, 0));
  }
  return api;
}

const say = (text: string) => process.stdout.write(`${text}\n`);
const at = (sorted: readonly number[], share: number) => Math.round(sorted[Math.floor(sorted.length * share)] ?? 0);

async function measureServices(count: number): Promise<void> {
  const lab = createLab();
  try {
    const host = await lab.namespace("measure");
    const api = await declared(count);
    let written: () => void = () => undefined;
    const run: RunProgram = async (program, args, options) => {
      const result = await host.run(program, args, options);
      if (options?.input?.includes("flush chain")) written();
      return result;
    };
    const settings = {
      table: "capstan_measure",
      nodeName: "node-1",
      bridge: "cap0",
      nodePodCIDR: "10.77.0.0/24",
      podCIDR: "10.77.0.0/16",
      serviceCIDR: "10.78.0.0/16",
      bridgeFilter: true,
    };
    const begin = async (stop: AbortController) => {
      const started = performance.now();
      const proxy = startProxy({ client: api.client, log: silentLog, signal: stop.signal, run, settings });
      await proxy.ready;
      return { proxy, took: Math.round(performance.now() - started) };
    };
    const first = new AbortController();
    const { proxy, took } = await begin(first);
    const waits: number[] = [];
    for (let change = 0; change < CHANGES; change++) {
      const seen = new Promise<void>((resolve) => {
        written = resolve;
      });
      const asked = performance.now();
      await api.put(endpointSlices, slice((change * 37) % count, change + 7));
      await seen;
      waits.push(performance.now() - asked);
    }
    first.abort();
    await proxy.stopped;
    waits.sort((a, b) => a - b);
    const again = new AbortController();
    const second = await begin(again);
    again.abort();
    await second.proxy.stopped;
    say(`${count} services: written in ${took} ms, beside old rules in ${second.took} ms`);
    say(`a change reaches the rules: p50 ${at(waits, 0.5)} ms, p99 ${at(waits, 0.99)} ms`);
  } finally {
    await lab.close();
  }
}

async function measureDns(): Promise<void> {
  const api = await declared(1_000);
  const stop = new AbortController();
  const dns = await startDns({
    client: api.client,
    log: silentLog,
    signal: stop.signal,
    nodeName: "node-1",
    domain: "cluster.local",
    serviceAddress: "10.78.0.10",
    listen: { address: "127.0.0.1", port: 0 },
    podCIDR: "10.77.0.0/16",
  });
  await dns.ready;
  const before = process.cpuUsage();
  const asker = fork(import.meta.filename, ["ask", String(dns.port)]);
  await once(asker, "exit");
  const { user, system } = process.cpuUsage(before);
  say(`the server's CPU: ${Math.round((user + system) / QUESTIONS)} µs a question`);
  stop.abort();
  await dns.stopped;
}

function ask(port: number): void {
  const questions = Array.from({ length: 1_000 }, (_, i) =>
    packet.encode({
      type: "query",
      id: i,
      flags: packet.RECURSION_DESIRED,
      questions: [{ type: i % 3 === 0 ? "AAAA" : "A", name: `s${i}.default.svc.cluster.local` }],
    }),
  );
  const started = performance.now();
  let [sent, got] = [0, 0];
  for (let k = 0; k < SOCKETS; k++) {
    const socket = createSocket({ type: "udp4", recvBufferSize: 1 << 20 });
    const next = () => {
      const question = questions[sent % questions.length];
      if (question && sent++ < QUESTIONS) socket.send(question, port, "127.0.0.1");
    };
    socket.on("message", () => {
      // A datagram may be lost: all but a hundredth will do.
      if (++got >= QUESTIONS * 0.99) {
        say(`${Math.round((got / (performance.now() - started)) * 1000)} questions a second`);
        process.exit(0);
      }
      next();
    });
    socket.bind(0, "127.0.0.1", () => {
      for (let i = 0; i < IN_FLIGHT; i++) next();
    });
  }
}

const [what, argument] = process.argv.slice(2);
if (what === "ask") ask(Number(argument));
else if (what === "dns") await measureDns();
else if (what === "services") await measureServices(Number(argument ?? 1_000));
else say("usage: measure.ts services [COUNT] | dns");
