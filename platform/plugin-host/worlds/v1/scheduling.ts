/**
 * Worlds filter and score, in the shapes of the scheduler's port. A component of both worlds is one object here, and keeps one node
 * table: the scheduler brings it up to date by deltas, and an instance that starts by itself (after a trap, at a swap) gets
 * the table whole. Calls take batches of pod classes and node numbers (P5).
 */
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Normalization, PluginSpec } from "#sdk/plugin/manifest.ts";
import type { Amounts, NodeUsage, Outcome, ScoreChanges, VerdictChanges, Verdicts } from "#sdk/plugin/types.ts";
import type { LoadedPlugin, PluginHost } from "../../host.ts";
import type { Prepare } from "../../pool.ts";
import { hasSomething, projector, textsAt } from "../../projection.ts";
import { GuestTable, isEmpty, type NodeDelta } from "./guest-table.ts";

export type { Amounts, NodeUsage, Outcome, ScoreChanges, VerdictChanges, Verdicts };

export interface PodClass {
  requests: Amounts;
  nonzeroCpuMilli: number;
  nonzeroMemory: number;
  /** What `view` answered for the pod. */
  view: string;
}

/** A pod as components see it, with facts about it that are not in the object. */
export type PodFacts = object;

export interface SchedulingPlugin {
  name: string;
  /** Of several, the lower is asked first, and named first where a pod does not fit. */
  order: number;
  weight: number;
  /** How long an answer holds, for pods of which the plugin is shown the same. */
  scope: PluginSpec["scope"];
  normalization: Normalization | "none";
  /** What it is shown of a pod: equal texts (and requests) get equal answers. */
  view(pod: PodFacts): string;
  /** Whether it has a say about this pod; `pods`: whether some pod on a node makes it have one. */
  filterConcern: { pod(pod: PodFacts): boolean; pods: ((pod: PodFacts) => boolean) | undefined };
  scoreConcern: { pod(pod: PodFacts): boolean; pods: ((pod: PodFacts) => boolean) | undefined };
  /** Keys of node labels in whose values pods of one class differ that are placed together; undefined: one at a time. */
  apart(pod: PodFacts): readonly string[] | undefined;
  sync(delta: NodeDelta): Promise<void>;
  /** One answer a pod class. Throws PluginCallError where the failure policy is Fail; with Ignore, everything fits. */
  evaluate(pods: readonly PodClass[], nodes: readonly number[]): Promise<Verdicts[]>;
  /** Where the scope is "cluster". */
  updateVerdicts(pod: PodClass): Promise<VerdictChanges>;
  score(pods: readonly PodClass[], nodes: readonly number[]): Promise<ArrayLike<number>[]>;
  updateScores(pod: PodClass): Promise<ScoreChanges>;
  /** Where the normalization is "hook". */
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

/** Call before `host.start()`. */
export function createSchedulingPlugins(host: PluginHost, log: Log): SchedulingPlugins {
  let table: { whole(): NodeDelta } = { whole: () => ({ whole: true, nodes: [], pods: [], usage: [], removed: [] }) };
  /** What the instances of a plugin know, by what they are shown: two versions may be there at once. */
  const guests = new Map<string, GuestTable>();
  const guestOf = (name: string, spec: PluginSpec): GuestTable => {
    const { node, pods } = spec.projection;
    const key = JSON.stringify([name, node, pods, spec.usage]);
    const known = guests.get(key) ?? new GuestTable(node, pods, spec.usage);
    guests.set(key, known);
    return known;
  };
  const prepare =
    (spec: PluginSpec, name: string): Prepare =>
    async (call) => {
      if (!keepsNodes(spec)) return;
      const whole = name.includes("/") ? forTenant(table.whole()) : table.whole();
      const delta = guestOf(name, spec).whole(whole);
      await call("capstan:plugin/node-hooks@1.0.0", "sync", [delta]);
    };
  host.prepare("filter", prepare);
  host.prepare("score", prepare);

  /** One object a plugin for as long as it is loaded: the scheduler knows by it who is up to date. */
  const made = new WeakMap<LoadedPlugin, { spec: PluginSpec; plugin: SchedulingPlugin }>();
  const adapted = (plugin: LoadedPlugin): SchedulingPlugin => {
    const { spec } = plugin;
    let known = made.get(plugin);
    if (known?.spec !== spec) {
      known = { spec, plugin: schedulingPlugin(plugin, spec, guestOf(plugin.name, spec), log) };
      made.set(plugin, known);
    }
    return known.plugin;
  };
  return {
    attach(attached) {
      table = attached;
    },
    filters: (tenant) => host.loaded("filter", tenant).map(adapted),
    scores: (tenant) => host.loaded("score", tenant).map(adapted),
    onChange: (listener) => host.onChange(listener),
  };
}

/** Nodes as a tenant's own plugins are told of them: without the pods there and what else tells of other tenants. */
const forTenant = (delta: NodeDelta): NodeDelta => ({
  ...delta,
  pods: [],
  nodes: delta.nodes.map((entry) => ({ ...entry, node: withoutOthers(entry.node) })),
});

function withoutOthers(node: unknown): unknown {
  const { status, ...rest } = node as { status?: Record<string, unknown> };
  if (!status) return node;
  const { images: _, addresses: __, volumesInUse: ___, volumesAttached: ____, ...shown } = status;
  return { ...rest, status: shown };
}

function concern(paths: PluginSpec["filterConcern"]): SchedulingPlugin["filterConcern"] {
  if (!paths) return { pod: () => true, pods: undefined };
  const { pod, pods } = paths;
  return { pod: hasSomething(pod), pods: pods.length > 0 ? hasSomething(pods) : undefined };
}

const NOWHERE: readonly string[] = [];

/** What pods change stays on their node where the scope is neither "call" nor "cluster". */
function apartness({ scope, together }: PluginSpec): SchedulingPlugin["apart"] {
  if (scope !== "call" && scope !== "cluster") return () => NOWHERE;
  if (scope === "call" || !together) return () => undefined;
  const isAlone = hasSomething(together.alone);
  const keys = textsAt(together.domains);
  return (pod) => (isAlone(pod) ? undefined : keys(pod));
}

function schedulingPlugin(plugin: LoadedPlugin, spec: PluginSpec, guest: GuestTable, log: Log): SchedulingPlugin {
  const guestClass = ({ requests, nonzeroCpuMilli, nonzeroMemory, view }: PodClass) => ({
    requests,
    nonzeroCpuMilli,
    nonzeroMemory,
    object: view,
  });
  /** Asks, and with the failure policy Ignore answers for a plugin that cannot. */
  const ask = async <T>(hooks: string, hook: string, args: unknown[], otherwise: () => T): Promise<T> => {
    try {
      return (await plugin.call(hooks, hook, args)) as T;
    } catch (error) {
      if (spec.failurePolicy === "Fail") throw error;
      log.warn("a scheduling plugin failed and was ignored", { plugin: plugin.name, error: messageOf(error) });
      return otherwise();
    }
  };
  const nothing = { whole: true, nodes: [] };
  return {
    name: plugin.name,
    order: spec.order,
    weight: spec.weight,
    scope: spec.scope,
    normalization: spec.normalize === "hook" && !offers(spec, "score", "normalize") ? "none" : spec.normalize,
    view: projector(spec.projection["pod"]),
    filterConcern: concern(spec.filterConcern),
    scoreConcern: concern(spec.scoreConcern),
    apart: apartness(spec),
    async sync(delta) {
      if (!keepsNodes(spec)) return;
      try {
        const seen = plugin.tenant === "root" ? delta : forTenant(delta);
        const changes = guest.delta(seen);
        if (!isEmpty(changes)) await plugin.broadcast("node-hooks", "sync", [changes]);
      } catch (error) {
        if (spec.failurePolicy === "Fail") throw error;
        log.warn("a scheduling plugin failed and was ignored", { plugin: plugin.name, error: messageOf(error) });
      }
    },
    evaluate: (pods, nodes) =>
      ask<Verdicts[]>("filter-hooks", "evaluate", [pods.map(guestClass), Uint32Array.from(nodes)], () =>
        pods.map(() => ({ codes: new Uint16Array(nodes.length), outcomes: [] })),
      ),
    updateVerdicts: (pod) =>
      ask<VerdictChanges>("filter-hooks", "update", [guestClass(pod)], () => ({ ...nothing, codes: [], outcomes: [] })),
    score: (pods, nodes) =>
      ask<ArrayLike<number>[]>("score-hooks", "score", [pods.map(guestClass), Uint32Array.from(nodes)], () =>
        pods.map(() => new Int32Array(nodes.length)),
      ),
    updateScores: (pod) =>
      ask<ScoreChanges>("score-hooks", "update", [guestClass(pod)], () => ({ ...nothing, scores: [] })),
    normalize: (scores) =>
      ask<ArrayLike<number>>(
        "score-hooks",
        "normalize",
        [Int32Array.from(scores)],
        () => new Int32Array(scores.length),
      ),
  };
}
