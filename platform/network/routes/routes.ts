/**
 * Ways to the other nodes' pods: a route to each Node's range by its address. Only what stands in the API counts, so a machine that joins
 * or leaves needs nothing done on the others. Nodes must reach each other directly (one link, or routers that know the way).
 */
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { familyOf } from "#platform/rules/ranges.ts";
import type { Node } from "#sdk/api/generated/types.ts";
import { createInformer } from "#sdk/client/informer.ts";
import type { Client } from "#sdk/client/port.ts";
import { cidrText, contains, nth, parseCidr } from "../host/addresses.ts";
import type { RunProgram } from "../host/program.ts";
import { wordsFor } from "../nft/family.ts";
import { nodes as nodesResource } from "../objects.ts";

export interface RoutesOptions {
  client: Client;
  log: Log;
  signal: AbortSignal;
  run: RunProgram;
  nodeName: string;
  /** Routes of other ranges are never touched. */
  podCIDR: string;
  /** Of the second address family, where there is one. */
  secondaryPodCIDR?: string;
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
  const { family } = wordsFor(podCIDR);
  for (const { metadata, spec, status } of nodes) {
    const own = spec?.podCIDRs ?? [spec?.podCIDR ?? ""];
    const range = own.flatMap((text) => parseCidr(text) ?? []).find((one) => all && contains(all, nth(one, 0)));
    const isOfFamily = ({ type, address }: { type: string; address: string }) =>
      type === "InternalIP" && familyOf(address) === family;
    const address = status?.addresses?.find(isOfFamily)?.address;
    if (metadata.name === nodeName || !range || address === undefined) continue;
    routes.set(cidrText(range), address);
  }
  return routes;
}

/** Our own routes, and all routes' ranges, from `ip -j route show`. */
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
  const { log, signal, run, nodeName } = options;
  const ranges = [options.podCIDR, ...(options.secondaryPodCIDR ? [options.secondaryPodCIDR] : [])];
  const nodes = createInformer<Node>(options.client, nodesResource, { log });
  let wake: () => void = () => undefined;
  nodes.on({ added: () => wake(), updated: () => wake(), deleted: () => wake() });
  const must = async (...args: string[]) => {
    const { code, stdout, stderr } = await run("ip", args);
    if (code !== 0) throw new Error(`ip ${args.join(" ")}: ${stderr.trim()}`);
    return stdout;
  };
  const reconcile = async (podCIDR: string) => {
    const wanted = desiredRoutes(nodes.list(), nodeName, podCIDR);
    const { own, all } = knownRoutes(await must("-j", wordsFor(podCIDR).option, "route", "show"));
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
        for (const range of ranges) await reconcile(range);
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
