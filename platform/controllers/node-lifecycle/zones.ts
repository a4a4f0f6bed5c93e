/**
 * How fast nodes of a zone may be given up: when many fail at once, the network is likelier to be at fault than each of them (upstream:
 * pkg/controller/nodelifecycle, "Rate limits on eviction").
 */
import type { Node } from "#sdk/api/generated/types.ts";
import { readyStatus } from "./reconcile.ts";

/** Upstream's --node-eviction-rate, --secondary-node-eviction-rate, --unhealthy-zone-threshold and --large-cluster-size-threshold. */
const RATE = 0.1;
const SLOW_RATE = 0.01;
const UNHEALTHY_SHARE = 0.55;
const UNHEALTHY_LEAST = 3;
const LARGE_ZONE = 51;

export const zoneOf = ({ metadata }: Node): string =>
  `${metadata.labels?.["topology.kubernetes.io/region"] ?? ""}/${metadata.labels?.["topology.kubernetes.io/zone"] ?? ""}`;

/** Nodes a second, by zone; 0 none. */
export function ratesOf(nodes: readonly Node[]): Map<string, number> {
  const zones = new Map<string, { ready: number; lost: number }>();
  for (const node of nodes) {
    const zone = zones.get(zoneOf(node)) ?? { ready: 0, lost: 0 };
    if (readyStatus(node) === "True") zone.ready += 1;
    else zone.lost += 1;
    zones.set(zoneOf(node), zone);
  }
  // Everything seems lost: it is we who see nothing.
  const isBlind = [...zones.values()].every(({ ready }) => ready === 0);
  return new Map([...zones].map(([zone, counts]) => [zone, isBlind ? 0 : rateOf(counts)]));
}

function rateOf({ ready, lost }: { ready: number; lost: number }): number {
  const isPartial = ready > 0 && lost >= UNHEALTHY_LEAST && lost / (lost + ready) >= UNHEALTHY_SHARE;
  if (!isPartial) return RATE;
  return lost + ready >= LARGE_ZONE ? SLOW_RATE : 0;
}

/** One node at once, the next as the zone's rate allows. */
export class ZoneLimits {
  readonly #tokens = new Map<string, { left: number; at: number }>();

  /** 0: now; otherwise the milliseconds until it is worth asking again, undefined while the zone's rate is nothing. `now` never goes back. */
  take(zone: string, rate: number, now: number): number | undefined {
    const bucket = this.#tokens.get(zone) ?? { left: 1, at: now };
    const left = Math.min(1, bucket.left + ((now - bucket.at) / 1000) * rate);
    const taken = rate > 0 && left >= 1;
    this.#tokens.set(zone, { left: taken ? left - 1 : left, at: now });
    if (taken) return 0;
    return rate > 0 ? Math.ceil(((1 - left) / rate) * 1000) : undefined;
  }

  /** Zones without nodes are forgotten. */
  keep(zones: ReadonlySet<string>): void {
    for (const zone of this.#tokens.keys()) if (!zones.has(zone)) this.#tokens.delete(zone);
  }
}
