/**
 * Worlds filter and score. The host keeps the node table beside the components: an instance that starts (or is swapped in) gets it
 * whole, all others the deltas. Calls take batches of pod classes and node numbers (P5).
 */
import type { PluginSpec } from "#sdk/plugin/manifest.ts";
import type { Amounts, NodeEntry, NodeUsage, Outcome, PodClass, Verdicts } from "#sdk/plugin/types.ts";
import type { LoadedPlugin, PluginHost } from "../../host.ts";
import type { Prepare } from "../../pool.ts";
import { projector } from "../../projection.ts";

export type { Amounts, NodeUsage, Outcome, Verdicts };

/** A node for the components: each is shown the projection of `object` that it declares. */
export interface NodeInput extends Omit<NodeEntry, "object"> {
  object: unknown;
}
export interface PodInput extends Omit<PodClass, "object"> {
  object: unknown;
}

export interface NodeChanges {
  nodes: NodeInput[];
  usage: NodeUsage[];
  removed: number[];
}

export interface FilterPlugin {
  readonly name: string;
  readonly failurePolicy: "Fail" | "Ignore";
  /** One answer a pod class. Throws PluginCallError. */
  evaluate(pods: PodInput[], nodes: ArrayLike<number>): Promise<Verdicts[]>;
}

export interface ScorePlugin {
  readonly name: string;
  readonly failurePolicy: "Fail" | "Ignore";
  readonly weight: number;
  /** For each pod class the nodes' scores, 0–100 after `normalize`. */
  score(pods: PodInput[], nodes: ArrayLike<number>): Promise<ArrayLike<number>[]>;
  normalize(scores: ArrayLike<number>): Promise<ArrayLike<number>>;
}

export interface Scheduling {
  /** Await it before asking about what it changes. */
  sync(changes: NodeChanges): Promise<void>;
  filters(): readonly FilterPlugin[];
  scores(): readonly ScorePlugin[];
}

const has = (spec: PluginSpec, world: "filter" | "score", hook: string): boolean =>
  spec.hooks[world]?.includes(hook) ?? true;
const wantsNodes = (spec: PluginSpec): boolean =>
  (["filter", "score"] as const).some((world) => spec.worlds.includes(world) && has(spec, world, "sync"));

/** Call before `host.start()`. */
export function createScheduling(host: PluginHost): Scheduling {
  const nodes = new Map<number, NodeInput>();
  const usage = new Map<number, NodeUsage>();
  const prepare =
    (spec: PluginSpec): Prepare =>
    async (call) => {
      if (!wantsNodes(spec)) return;
      const text = projector(spec.projection["node"]);
      const entries = [...nodes.values()].map((node) => ({ ...node, object: text(node.object) }));
      const delta = { whole: true, nodes: entries, usage: [...usage.values()], removed: [] };
      await call("capstan:plugin/node-hooks@1.0.0", "sync", [delta]);
    };
  host.prepare("filter", prepare);
  host.prepare("score", prepare);

  /** Adapters are made once for each set of plugins. */
  let made = { generation: -1, filters: [] as FilterPlugin[], scores: [] as ScorePlugin[] };
  const current = () => {
    if (made.generation !== host.generation) {
      made = {
        generation: host.generation,
        filters: host.loaded("filter").map(filterPlugin),
        scores: host.loaded("score").map(scorePlugin),
      };
    }
    return made;
  };
  return {
    async sync(changes) {
      for (const id of changes.removed) {
        nodes.delete(id);
        usage.delete(id);
      }
      for (const node of changes.nodes) nodes.set(node.id, node);
      for (const entry of changes.usage) usage.set(entry.id, entry);
      const plugins = new Set([...host.loaded("filter"), ...host.loaded("score")]);
      await Promise.all(
        [...plugins].filter((plugin) => wantsNodes(plugin.spec)).map((plugin) => send(plugin, changes)),
      );
    },
    filters: () => current().filters,
    scores: () => current().scores,
  };
}

async function send(plugin: LoadedPlugin, changes: NodeChanges): Promise<void> {
  const text = projector(plugin.spec.projection["node"]);
  const nodes = changes.nodes.map((node) => ({ ...node, object: text(node.object) }));
  const delta = { whole: false, nodes, usage: changes.usage, removed: changes.removed };
  await plugin.broadcast("node-hooks", "sync", [delta]);
}

const classes = (plugin: LoadedPlugin): ((pods: PodInput[]) => PodClass[]) => {
  const text = projector(plugin.spec.projection["pod"]);
  return (pods) => pods.map((pod) => ({ ...pod, object: text(pod.object) }));
};

function filterPlugin(plugin: LoadedPlugin): FilterPlugin {
  const podClasses = classes(plugin);
  return {
    name: plugin.name,
    failurePolicy: plugin.spec.failurePolicy,
    evaluate: (pods, nodes) =>
      plugin.call("filter-hooks", "evaluate", [podClasses(pods), numbers(nodes)]) as Promise<Verdicts[]>,
  };
}

function scorePlugin(plugin: LoadedPlugin): ScorePlugin {
  const podClasses = classes(plugin);
  return {
    name: plugin.name,
    failurePolicy: plugin.spec.failurePolicy,
    weight: plugin.spec.weight,
    score: (pods, nodes) =>
      plugin.call("score-hooks", "score", [podClasses(pods), numbers(nodes)]) as Promise<ArrayLike<number>[]>,
    normalize: async (scores) =>
      has(plugin.spec, "score", "normalize")
        ? ((await plugin.call("score-hooks", "normalize", [Int32Array.from(scores)])) as ArrayLike<number>)
        : scores,
  };
}

const numbers = (nodes: ArrayLike<number>): Uint32Array =>
  nodes instanceof Uint32Array ? nodes : Uint32Array.from(nodes);
