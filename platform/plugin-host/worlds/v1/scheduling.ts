/**
 * Worlds filter and score, in the shapes of the scheduler's port. A component of both worlds is one object here, and keeps one node
 * table: the scheduler brings it up to date by deltas, and an instance that starts by itself (after a trap, at a swap) gets
 * the table whole. Calls take batches of pod classes and node numbers (P5).
 */
import { type Log, messageOf } from "#platform/base/log.ts";
import type { PluginSpec } from "#sdk/plugin/manifest.ts";
import type {
  Amounts,
  NodeDelta as GuestDelta,
  PodClass as GuestPodClass,
  NodeUsage,
  Outcome,
  Verdicts,
} from "#sdk/plugin/types.ts";
import type { LoadedPlugin, PluginHost } from "../../host.ts";
import type { Prepare } from "../../pool.ts";
import { projector } from "../../projection.ts";

export type { Amounts, NodeUsage, Outcome, Verdicts };

export interface PodClass {
  tenant: string;
  requests: Amounts;
  nonzeroCpuMilli: number;
  nonzeroMemory: number;
  /** Each component is shown the projection that it declares. */
  pod: unknown;
}

export interface NodeEntry {
  id: number;
  name: string;
  allocatable: Amounts;
  podsMax: number;
  node: unknown;
  /** The pods there: part of the node's object for a component whose projection asks for "pods". */
  pods: readonly unknown[];
}

export interface NodeDelta {
  whole: boolean;
  nodes: NodeEntry[];
  /** Nodes whose pods changed, and nothing else. */
  podChanges: NodeEntry[];
  usage: NodeUsage[];
  removed: number[];
}

export interface SchedulingPlugin {
  name: string;
  weight: number;
  sync(delta: NodeDelta): Promise<void>;
  /** One answer a pod class. Throws PluginCallError where the failure policy is Fail; with Ignore, everything fits. */
  evaluate(pods: readonly PodClass[], nodes: readonly number[]): Promise<Verdicts[]>;
  score(pods: readonly PodClass[], nodes: readonly number[]): Promise<ArrayLike<number>[]>;
  normalize(scores: ArrayLike<number>): Promise<ArrayLike<number>>;
}

export interface SchedulingPlugins {
  attach(table: { whole(): NodeDelta }): void;
  filters(tenant: string): readonly SchedulingPlugin[];
  scores(tenant: string): readonly SchedulingPlugin[];
  onChange(listener: () => void): void;
}

const offers = (spec: PluginSpec, world: "filter" | "score", hook: string): boolean =>
  spec.worlds.includes(world) && (spec.hooks[world]?.includes(hook) ?? true);
const keepsNodes = (spec: PluginSpec): boolean => offers(spec, "filter", "sync") || offers(spec, "score", "sync");

const seesPods = (spec: PluginSpec): boolean =>
  spec.projection["node"]?.some((path) => path === "pods" || path.startsWith("pods.")) ?? false;

function guestDelta(spec: PluginSpec, delta: NodeDelta): GuestDelta {
  const text = projector(spec.projection["node"]);
  const withPods = seesPods(spec);
  const changed = withPods ? [...delta.nodes, ...delta.podChanges] : delta.nodes;
  const nodes = changed.map(({ node, pods, ...entry }) => ({
    ...entry,
    object: text(withPods ? { ...(node as object), pods } : node),
  }));
  return { whole: delta.whole, nodes, usage: delta.usage, removed: delta.removed };
}

/** Call before `host.start()`. */
export function createSchedulingPlugins(host: PluginHost, log: Log): SchedulingPlugins {
  let table: { whole(): NodeDelta } = {
    whole: () => ({ whole: true, nodes: [], podChanges: [], usage: [], removed: [] }),
  };
  const prepare =
    (spec: PluginSpec): Prepare =>
    async (call) => {
      if (!keepsNodes(spec)) return;
      await call("capstan:plugin/node-hooks@1.0.0", "sync", [guestDelta(spec, table.whole())]);
    };
  host.prepare("filter", prepare);
  host.prepare("score", prepare);

  /** One object a plugin for as long as it is loaded: the scheduler knows by it who is up to date. */
  const made = new WeakMap<LoadedPlugin, SchedulingPlugin>();
  const adapted = (plugin: LoadedPlugin): SchedulingPlugin => {
    const known = made.get(plugin) ?? schedulingPlugin(plugin, log);
    made.set(plugin, known);
    return known;
  };
  return {
    attach(attached) {
      table = attached;
    },
    filters: () => host.loaded("filter").map(adapted),
    scores: () => host.loaded("score").map(adapted),
    onChange: (listener) => host.onChange(listener),
  };
}

function schedulingPlugin(plugin: LoadedPlugin, log: Log): SchedulingPlugin {
  let [paths, text] = [plugin.spec.projection["pod"], projector(plugin.spec.projection["pod"])];
  const classes = (pods: readonly PodClass[]): GuestPodClass[] => {
    if (paths !== plugin.spec.projection["pod"]) {
      [paths, text] = [plugin.spec.projection["pod"], projector(plugin.spec.projection["pod"])];
    }
    return pods.map(({ requests, nonzeroCpuMilli, nonzeroMemory, pod }) => ({
      requests,
      nonzeroCpuMilli,
      nonzeroMemory,
      object: text(pod),
    }));
  };
  /** Asks, and with the failure policy Ignore answers for a plugin that cannot. */
  const ask = async <T>(call: () => Promise<unknown>, otherwise: () => T): Promise<T> => {
    try {
      return (await call()) as T;
    } catch (error) {
      if (plugin.spec.failurePolicy === "Fail") throw error;
      log.warn("a scheduling plugin failed and was ignored", { plugin: plugin.name, error: messageOf(error) });
      return otherwise();
    }
  };
  return {
    name: plugin.name,
    get weight() {
      return plugin.spec.weight;
    },
    sync: (delta) =>
      ask(
        async () => {
          if (keepsNodes(plugin.spec)) await plugin.broadcast("node-hooks", "sync", [guestDelta(plugin.spec, delta)]);
        },
        () => undefined,
      ),
    evaluate: (pods, nodes) =>
      ask<Verdicts[]>(
        () => plugin.call("filter-hooks", "evaluate", [classes(pods), Uint32Array.from(nodes)]),
        () => pods.map(() => ({ codes: new Uint16Array(nodes.length), outcomes: [] })),
      ),
    score: (pods, nodes) =>
      ask<ArrayLike<number>[]>(
        () => plugin.call("score-hooks", "score", [classes(pods), Uint32Array.from(nodes)]),
        () => pods.map(() => new Int32Array(nodes.length)),
      ),
    normalize: async (scores) =>
      offers(plugin.spec, "score", "normalize")
        ? ask<ArrayLike<number>>(
            () => plugin.call("score-hooks", "normalize", [Int32Array.from(scores)]),
            () => new Int32Array(scores.length),
          )
        : scores,
  };
}
