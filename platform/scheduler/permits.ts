/**
 * Pods that have found their node and are held before they are bound (upstream: Permit, and the framework's WaitOnPermit). Components of the
 * world permit say whether: each pod of a group that comes has them asked about all of the group that wait.
 */
import type { Pod } from "#sdk/api/generated/types.ts";
import type { PodFacts } from "./framework.ts";

export type PermitDecision =
  | { tag: "allow" }
  /** Milliseconds at most. */
  | { tag: "wait"; val: number }
  /** What the pod is told. */
  | { tag: "reject"; val: string };

export interface PermitPlugin {
  name: string;
  /** One decision for each pod, in their order. Throws where the plugin failed and its failure counts. */
  permit(group: string, placements: readonly PermitPlacement[]): Promise<PermitDecision[]>;
  unreserve(group: string, placement: PermitPlacement): Promise<void>;
}

export interface PermitPlacement {
  pod: PodFacts;
  node: string;
}

export interface PermitPlugins {
  /** Somebody has a say about some pod. */
  any(): boolean;
  /** Who has a say about this pod. */
  list(pod: PodFacts): readonly PermitPlugin[];
}

/** Somebody said no, or the time is over. */
export class PermitRefused extends Error {}

export interface Permits {
  /** Undefined where nobody has a say. Resolves when all allow the pod, rejects with PermitRefused when one does not. */
  ask(key: string, group: string, placement: () => PermitPlacement): Promise<void> | undefined;
  /** The pod is not bound after all. */
  giveUp(key: string): void;
  /** It is bound. */
  done(key: string): void;
  /** How many are held. */
  waiting(): number;
}

/** As upstream: nobody holds a pod for longer. */
const WAIT_MS_MAX = 15 * 60_000;
/** Room is kept for each of them: others are told to come again. */
const WAITING_MAX = 10_000;

interface Held {
  key: string;
  placement: PermitPlacement;
  settle(refusal?: PermitRefused): void;
  timer?: NodeJS.Timeout;
}

interface Asked {
  group: string;
  placement: PermitPlacement;
  plugins: readonly PermitPlugin[];
}

export function createPermits(plugins: PermitPlugins, signal: AbortSignal): Permits {
  /** By plugin and group, in the order of their coming. */
  const held = new Map<string, Map<string, Held>>();
  /** Questions about one group are asked one after the other. */
  const turns = new Map<string, Promise<void>>();
  const asked = new Map<string, Asked>();

  const wait = (one: Held, plugin: string, ms: number) => {
    clearTimeout(one.timer);
    const most = Math.min(ms, WAIT_MS_MAX);
    const message = `rejected due to timeout after waiting ${most / 1000}s at plugin ${plugin}`;
    one.timer = setTimeout(() => one.settle(new PermitRefused(message)), most).unref();
  };

  const decide = async (plugin: PermitPlugin, group: string, waiting: Map<string, Held>) => {
    const all = [...waiting.values()];
    if (all.length === 0) return;
    const decisions = await plugin.permit(
      group,
      all.map(({ placement }) => placement),
    );
    for (const [i, one] of all.entries()) {
      const decision = decisions[i];
      if (decision?.tag === "allow") one.settle();
      else if (decision?.tag === "wait") wait(one, plugin.name, decision.val);
      else one.settle(new PermitRefused(decision?.val ?? `plugin ${plugin.name} did not decide about every pod`));
    }
  };

  const askOne = (plugin: PermitPlugin, key: string, group: string, placement: PermitPlacement): Promise<void> => {
    const id = JSON.stringify([plugin.name, placement.pod.tenant, group]);
    const waiting = held.get(id) ?? new Map<string, Held>();
    held.set(id, waiting);
    return new Promise((resolve, reject) => {
      const one: Held = {
        key,
        placement,
        settle(refusal) {
          clearTimeout(one.timer);
          if (waiting.get(key) === one) waiting.delete(key);
          if (waiting.size === 0 && held.get(id) === waiting) held.delete(id);
          if (refusal) reject(refusal);
          else resolve();
        },
      };
      waiting.set(key, one);
      const turn = (turns.get(id) ?? Promise.resolve())
        .then(() => decide(plugin, group, waiting))
        // Only who came is refused for it: the others go on waiting.
        .catch((error: Error) => one.settle(new PermitRefused(error.message)))
        .finally(() => turns.get(id) === turn && turns.delete(id));
      turns.set(id, turn);
    });
  };
  const refuseAll = (why: string, isMeant: (one: Held) => boolean) => {
    for (const waiting of [...held.values()])
      for (const one of [...waiting.values()]) if (isMeant(one)) one.settle(new PermitRefused(why));
  };
  signal.addEventListener("abort", () => refuseAll("the scheduler stops", () => true), { once: true });

  return {
    ask(key, group, placementOf) {
      if (!plugins.any()) return undefined;
      const placement = placementOf();
      const all = plugins.list(placement.pod);
      if (all.length === 0) return undefined;
      if (asked.size >= WAITING_MAX) return Promise.reject(new PermitRefused("too many pods are held before binding"));
      asked.set(key, { group, placement, plugins: all });
      return Promise.all(all.map((plugin) => askOne(plugin, key, group, placement))).then(() => undefined);
    },
    giveUp(key) {
      const known = asked.get(key);
      if (!known) return;
      asked.delete(key);
      refuseAll("the pod is not bound", (one) => one.key === key);
      for (const plugin of known.plugins) void plugin.unreserve(known.group, known.placement).catch(() => undefined);
    },
    done: (key) => asked.delete(key),
    waiting: () => [...held.values()].reduce((sum, { size }) => sum + size, 0),
  };
}

export const noPermits: PermitPlugins = { any: () => false, list: () => [] };

/** Whom a pod is decided about with: its gang, or itself. "namespace/name". */
export const groupOf = (pod: Pod, gang: string | undefined): string =>
  `${pod.metadata.namespace ?? ""}/${gang ?? pod.metadata.name ?? ""}`;
