/**
 * Two-level scheduling, as Mesos has it: a framework (a component) is offered the room of nodes and says which of its pods it puts there. Its
 * pods are those whose spec.schedulerName is its name. What it takes has to pass the filters like any other placement: an offer
 * reserves nothing, and is good for one answer.
 */
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { tenantOf } from "#sdk/client/port.ts";
import type { Amounts } from "./framework.ts";

/** Nodes in one offer; others come with the next. */
const ROOMS_MAX = 200;
const DECLINE_MS_MAX = 3_600_000;

export interface OfferedRoom {
  id: string;
  node: string;
  free: Amounts;
  object: unknown;
}

export interface OfferAnswer {
  accepted: { offer: string; namespace: string; pod: string }[];
  /** 0: declined nodes are offered again when something has changed. */
  declineMs: number;
}

export interface Framework {
  name: string;
  offer(tenant: string, rooms: readonly OfferedRoom[]): Promise<OfferAnswer>;
}

export interface Frameworks {
  list(): readonly Framework[];
  onChange(listener: () => void): void;
}

export interface FreeRoom {
  node: Node;
  free: Amounts;
}

export interface OffersOptions {
  frameworks: Frameworks;
  /** Those that wait for a node of this scheduler. */
  waiting(schedulerName: string): readonly Pod[];
  rooms(): Iterable<FreeRoom>;
  /** Binds the pod where every filter lets it pass; else answers why not. */
  place(pod: Pod, node: string): Promise<string | undefined>;
  log: Log;
  now?: () => number;
}

/** One round: everybody who waits for room is offered some. Never two at once. */
export function createOffers(options: OffersOptions): { round(): Promise<void> } {
  const { frameworks, waiting, rooms, place, log, now = Date.now } = options;
  /** "framework/tenant/node" → until when it is not offered. */
  const declined = new Map<string, number>();
  let count = 0;

  const offerTo = async (framework: Framework, tenant: string, pods: readonly Pod[]): Promise<void> => {
    const keyOf = (node: string) => `${framework.name}/${tenant}/${node}`;
    const offered = new Map<string, string>();
    const shown: OfferedRoom[] = [];
    for (const { node, free } of rooms()) {
      const name = node.metadata.name ?? "";
      if (shown.length === ROOMS_MAX) break;
      if ((declined.get(keyOf(name)) ?? 0) > now()) continue;
      const id = String(count++);
      offered.set(id, name);
      shown.push({ id, node: name, free, object: node });
    }
    if (shown.length === 0) return;
    const { accepted, declineMs } = await framework.offer(tenant, shown);
    const taken = new Set<string>();
    for (const { offer, namespace, pod: name } of accepted) {
      const node = offered.get(offer);
      const pod = pods.find(({ metadata }) => metadata.namespace === namespace && metadata.name === name);
      const why = !node || !pod ? "there is no such offer, or no such pod that waits" : await place(pod, node);
      if (why)
        log.warn("what a framework took was refused", { framework: framework.name, tenant, pod: name, node, why });
      else taken.add(node!);
    }
    const until = now() + Math.min(declineMs, DECLINE_MS_MAX);
    for (const node of offered.values()) if (declineMs > 0 && !taken.has(node)) declined.set(keyOf(node), until);
  };

  return {
    async round() {
      for (const [key, until] of declined) if (until <= now()) declined.delete(key);
      for (const framework of frameworks.list()) {
        const byTenant = Map.groupBy(waiting(framework.name), tenantOf);
        for (const [tenant, pods] of byTenant) {
          try {
            await offerTo(framework, tenant, pods);
          } catch (error) {
            log.warn("a framework did not answer an offer", { framework: framework.name, error: messageOf(error) });
          }
        }
      }
    },
  };
}
