/**
 * A pod sends by its own hardware and IP addresses and answers ARP and neighbour solicitations for them, and nothing else leaves its interface:
 * policies know pods by their addresses, so nobody may take a neighbour's, and IPv6 between neighbours of a node that has none would pass all
 * rules by. A table of family bridge, before the bridge learns or decides anything. Interfaces that are not known here are others'.
 */
import type { Log } from "#platform/base/log.ts";
import { addressValue, familyOf } from "#platform/rules/ranges.ts";
import type { RunProgram } from "../host/program.ts";
import { TableLoop } from "../nft/loop.ts";
import type { Part } from "../nft/parts.ts";
import { emptyRuleset, type NftSet, type Ruleset } from "../nft/ruleset.ts";
import { PRESENCE } from "../nft/table.ts";

export interface AttachedPod {
  uid: string;
  /** The host's end of the pod's cable, a port of the bridge. */
  link: string;
  /** Of the pod's own end: "0a:58:0a:f4:00:02". */
  mac: string;
  address: string;
  /** Of the second family, where there is one. */
  secondaryAddress?: string;
}

export interface GuardOptions {
  /** Table of family bridge. */
  table: string;
  run: RunProgram;
  log: Log;
  signal: AbortSignal;
  /** Connected by an earlier process. */
  attached: readonly AttachedPod[];
}

export interface RunningGuard {
  attach(pod: AttachedPod): void;
  detach(uid: string): void;
  stopped: Promise<void>;
}

const sets = {
  ports: { kind: "set", declaration: "type ifname;" },
  hardware: { kind: "set", declaration: "type ifname . ether_addr;" },
  addresses: { kind: "set", declaration: "type ifname . ipv4_addr;" },
  /** To the chain of a pod that has an IPv6 address. */
  six: { kind: "map", declaration: "type ifname : verdict;" },
  bindings: { kind: "set", declaration: "type ifname . ether_addr . ipv4_addr;" },
} as const satisfies Record<string, Omit<NftSet, "elements">>;

function renderBase(): Ruleset {
  const base = emptyRuleset();
  for (const [name, set] of Object.entries(sets)) base.sets.set(name, { ...set, elements: new Map() });
  base.chains.set(PRESENCE, { rules: [] });
  base.chains.set("guard", {
    hook: "type filter hook prerouting priority -300;",
    rules: [
      "iifname != @ports accept",
      "iifname . ether saddr != @hardware drop",
      "ether type ip iifname . ip saddr @addresses accept",
      "ether type ip6 iifname vmap @six",
      "ether type arp iifname . arp saddr ether . arp saddr ip @bindings accept",
      "drop",
    ],
  });
  return base;
}

/** An address, as an advertisement's target stands in the packet: behind four bytes of header and four of flags. */
const TARGET = "@th,64,128";

/** Undefined for what is no name of an interface, or no address. */
export function renderPod({ link, mac, address, secondaryAddress }: AttachedPod): Part | undefined {
  const addresses = [address, ...(secondaryAddress === undefined ? [] : [secondaryAddress])];
  const isUsable = (one: string) => familyOf(one) !== undefined && !/^fe80|%/i.test(one);
  if (!/^[A-Za-z0-9._-]{1,15}$/.test(link) || !/^[0-9a-f]{2}(:[0-9a-f]{2}){5}$/i.test(mac)) return undefined;
  if (!addresses.every(isUsable)) return undefined;
  const ruleset = emptyRuleset();
  const port = `"${link}"`;
  const element = (set: keyof typeof sets, key: string, value = "") =>
    ruleset.sets.set(set, { ...sets[set], elements: new Map([[key, value]]) });
  element("ports", port);
  element("hardware", `${port} . ${mac}`);
  for (const one of addresses) {
    if (familyOf(one) === "IPv4") {
      element("addresses", `${port} . ${one}`);
      element("bindings", `${port} . ${mac} . ${one}`);
      continue;
    }
    element("six", port, `goto six-${link}`);
    const target = `0x${addressValue(one).toString(16).padStart(32, "0")}`;
    const rules = [`icmpv6 type nd-neighbor-advert ${TARGET} != ${target} drop`, `ip6 saddr ${one} accept`, "drop"];
    ruleset.chains.set(`six-${link}`, { rules });
  }
  return { ruleset };
}

const PROBE = `add table bridge capstan_probe
add set bridge capstan_probe s { type ifname . ether_addr . ipv4_addr; }
add chain bridge capstan_probe c { type filter hook prerouting priority -300; }
add rule bridge capstan_probe c ether type arp iifname . arp saddr ether . arp saddr ip @s accept
`;

export function startGuard(options: GuardOptions): RunningGuard {
  const { table, run, log, signal } = options;
  const pods = new Map(options.attached.map((pod) => [pod.uid, pod]));
  const loop = new TableLoop<Part>({
    table: `bridge ${table}`,
    what: "addresses of pods",
    base: renderBase(),
    sharedSets: new Set(Object.keys(sets)),
    keys: () => pods.keys(),
    render(uid) {
      const pod = pods.get(uid);
      return pod && renderPod(pod);
    },
    log,
    signal,
    run,
  });
  const start = async () => {
    const { code } = await run("nft", ["-c", "-f", "-"], { input: PROBE });
    if (code === 0) await loop.run(() => undefined);
    else
      log.warn(
        "this kernel has no nftables of family bridge (CONFIG_NF_TABLES_BRIDGE): a pod with NET_RAW could use its neighbours' addresses",
      );
  };
  return {
    attach(pod) {
      pods.set(pod.uid, pod);
      loop.touch(pod.uid);
    },
    detach(uid) {
      pods.delete(uid);
      loop.touch(uid);
    },
    stopped: start(),
  };
}
