/**
 * Ways to the other nodes' pods: a route to each Node's range by its address. Only what stands in the API counts, so a machine that joins
 * or leaves needs nothing done on the others. Nodes must reach each other directly (one link, or routers that know the way).
 */
import { isIPv4 } from "node:net";
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Node } from "#sdk/api/generated/types.ts";
import { createInformer } from "#sdk/client/informer.ts";
import type { Client } from "#sdk/client/port.ts";
import { contains, nth, parseCidr } from "../host/addresses.ts";
import type { RunProgram } from "../host/program.ts";
import { nodes as nodesResource } from "../objects.ts";

export interface RoutesOptions {
  client: Client;
  log: Log;
  signal: AbortSignal;
  run: RunProgram;
  nodeName: string;
  /** Routes of other ranges are never touched. */
  podCIDR: string;
}

export interface RunningRoutes {
  /** Resolves once the routes to the nodes that there were at the start are there. */
  ready: Promise<void>;
  stopped: Promise<void>;
}

/** Marks routes as ours among others' (rtnetlink's "protocol"; 4 is "static", above 200 are nobody's). */
const PROTOCOL = "244";
const GATHER_MS = 100;
const CHECK_EVERY_MS = 30_000;
const RETRY_MS = 5_000;

/** Range → the node's address. Nodes without a range or an address, and this one, have no route. */
export function desiredRoutes(nodes: readonly Node[], nodeName: string, podCIDR: string): Map<string, string> {
  const routes = new Map<string, string>();
  const all = parseCidr(podCIDR);
  for (const { metadata, spec, status } of nodes) {
    const range = parseCidr(spec?.podCIDR ?? "");
    const address = status?.addresses?.find(({ type }) => type === "InternalIP")?.address;
    if (metadata.name === nodeName || !all || !range || address === undefined) continue;
    if (contains(all, nth(range, 0)) && isIPv4(address)) routes.set(spec?.podCIDR ?? "", address);
  }
  return routes;
}

/** Our own routes, and all routes' ranges, from `ip -j -4 route show`. */
export function knownRoutes(json: string): { own: Map<string, string>; all: Map<string, string> } {
  const list = JSON.parse(json === "" ? "[]" : json) as {
    dst?: string;
    gateway?: string;
    protocol?: string | number;
  }[];
  const pairs = (wanted: typeof list) => new Map(wanted.map(({ dst = "", gateway = "" }) => [dst, gateway]));
  return { own: pairs(list.filter(({ protocol }) => String(protocol) === PROTOCOL)), all: pairs(list) };
}

export function startRoutes(options: RoutesOptions): RunningRoutes {
  const { log, signal, run, nodeName, podCIDR } = options;
  const nodes = createInformer<Node>(options.client, nodesResource, { log });
  let wake: () => void = () => undefined;
  nodes.on({ added: () => wake(), updated: () => wake(), deleted: () => wake() });
  const must = async (...args: string[]) => {
    const { code, stdout, stderr } = await run("ip", args);
    if (code !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr.trim()}`);
    return stdout;
  };
  const reconcile = async () => {
    const wanted = desiredRoutes(nodes.list(), nodeName, podCIDR);
    const { own, all } = knownRoutes(await must("-j", "-4", "route", "show"));
    for (const [range, address] of own)
      if (wanted.get(range) !== address) await must("route", "delete", range, "via", address, "proto", PROTOCOL);
    // The same way may be there already, from who laid the cable.
    for (const [range, address] of wanted)
      if (all.get(range) !== address) await must("route", "replace", range, "via", address, "proto", PROTOCOL);
  };
  let done: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    done = resolve;
  });
  const loop = async () => {
    await nodes.start(signal);
    while (!signal.aborted) {
      const changed = new Promise<void>((resolve) => {
        wake = resolve;
      });
      let pause = CHECK_EVERY_MS;
      try {
        await reconcile();
      } catch (error) {
        log.warn("a way to another node's pods cannot be laid and is tried again", { error: messageOf(error) });
        pause = RETRY_MS;
      }
      // A node that cannot be reached must not keep this one from serving.
      done();
      await Promise.race([changed, delay(pause, signal)]);
      await delay(GATHER_MS, signal);
    }
  };
  return { ready, stopped: loop() };
}
