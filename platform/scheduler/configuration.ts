/**
 * KubeSchedulerConfiguration (kubescheduler.config.k8s.io/v1): profiles choose among the enabled components and weigh them. Arguments of
 * plugins are the configuration of the components, for all profiles: the Plugin object has them (spec.config).
 */
import { z } from "zod";
import type { SearchOptions } from "./decide.ts";
import type { NodePlugin, SchedulingPlugins } from "./framework.ts";
import type { QueueOptions } from "./queue.ts";

/** Upstream's plugins and the components that do the same; two may be one. Those without a component are the scheduler's own. */
const COMPONENTS: Readonly<Record<string, string | undefined>> = {
  NodeUnschedulable: "taints",
  TaintToleration: "taints",
  NodeName: "node-affinity",
  NodeAffinity: "node-affinity",
  NodePorts: "node-ports",
  NodeResourcesFit: "node-resources",
  NodeResourcesBalancedAllocation: "balanced-allocation",
  VolumeRestrictions: "volume-restrictions",
  NodeVolumeLimits: "volume-limits",
  VolumeBinding: "volume-binding",
  VolumeZone: "volume-zone",
  PodTopologySpread: "topology-spread",
  InterPodAffinity: "pod-affinity",
  ImageLocality: "image-locality",
  DynamicResources: "dynamic-resources",
};
const BUILT_IN: ReadonlySet<string> = new Set([
  "SchedulingGates",
  "PrioritySort",
  "DefaultPreemption",
  "DefaultBinder",
  "GangScheduling",
  "NodeDeclaredFeatures",
]);

const pluginSet = z.strictObject({
  enabled: z.array(z.strictObject({ name: z.string(), weight: z.number().int().optional() })).default([]),
  disabled: z.array(z.strictObject({ name: z.string() })).default([]),
});
type PluginSet = z.infer<typeof pluginSet>;

const POINTS = [
  "multiPoint",
  "preEnqueue",
  "queueSort",
  "preFilter",
  "filter",
  "postFilter",
  "preScore",
  "score",
  "reserve",
  "permit",
  "preBind",
  "bind",
  "postBind",
] as const;

const percentage = z.number().int().min(0).max(100);
const profileSchema = z.strictObject({
  schedulerName: z.string().min(1).default("default-scheduler"),
  percentageOfNodesToScore: percentage.optional(),
  /** Not upstream's: see SearchOptions. */
  capstan: z
    .strictObject({ shortCircuit: z.boolean().default(true), orderByPower: z.boolean().default(true) })
    .prefault({}),
  plugins: z.strictObject(Object.fromEntries(POINTS.map((point) => [point, pluginSet.optional()]))).default({}),
  pluginConfig: z.array(z.strictObject({ name: z.string(), args: z.unknown() })).default([]),
});

const schema = z.looseObject({
  apiVersion: z.literal("kubescheduler.config.k8s.io/v1"),
  kind: z.literal("KubeSchedulerConfiguration"),
  profiles: z.array(profileSchema).default([]),
  percentageOfNodesToScore: percentage.optional(),
  podInitialBackoffSeconds: z.number().min(1).default(1),
  podMaxBackoffSeconds: z.number().min(1).default(10),
  extenders: z.array(z.unknown()).max(0, "extenders are not called: a component does the same").default([]),
});

export interface Profile {
  schedulerName: string;
  search: SearchOptions;
  /** Of those that are enabled, in this profile. */
  plugins(all: SchedulingPlugins): SchedulingPlugins;
}

export interface Configuration {
  profiles: Profile[];
  queue: QueueOptions;
}

const componentOf = (name: string): string => COMPONENTS[name] ?? name;

/** Throws an Error that says which field is wrong. */
export function parseConfiguration(value: unknown): Configuration {
  const parsed = schema.safeParse(value);
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    throw new Error(`KubeSchedulerConfiguration: ${issue?.path.join(".")}: ${issue?.message}`);
  }
  const { profiles, podInitialBackoffSeconds, podMaxBackoffSeconds, percentageOfNodesToScore } = parsed.data;
  if (podMaxBackoffSeconds < podInitialBackoffSeconds) {
    throw new Error("KubeSchedulerConfiguration: podMaxBackoffSeconds: must not be less than podInitialBackoffSeconds");
  }
  const given = profiles.length > 0 ? profiles : [profileSchema.parse({})];
  const names = given.map(({ schedulerName }) => schedulerName);
  const twice = names.find((name, i) => names.indexOf(name) !== i);
  if (twice) throw new Error(`KubeSchedulerConfiguration: profiles: ${twice} is there twice`);
  return {
    profiles: given.map((profile) => profileOf(profile, percentageOfNodesToScore)),
    queue: { firstBackoffMs: podInitialBackoffSeconds * 1000, lastBackoffMs: podMaxBackoffSeconds * 1000 },
  };
}

function profileOf(profile: z.infer<typeof profileSchema>, percent: number | undefined): Profile {
  const [configured] = profile.pluginConfig;
  if (configured) {
    const plugin = componentOf(configured.name);
    throw new Error(
      `KubeSchedulerConfiguration: pluginConfig: arguments are the component's configuration, for all profiles: kubectl patch plugin ${plugin} --type merge -p '{"spec":{"config":{…}}}'`,
    );
  }
  const sets = profile.plugins as Partial<Record<(typeof POINTS)[number], PluginSet>>;
  const known = (set: PluginSet | undefined) => ({
    off: new Set((set?.disabled ?? []).map(({ name }) => (BUILT_IN.has(name) ? "" : componentOf(name)))),
    on: new Map((set?.enabled ?? []).map(({ name, weight }) => [componentOf(name), weight])),
  });
  const everywhere = known(sets.multiPoint);
  const chosen = (point: PluginSet | undefined) => {
    const own = known(point);
    return ({ name }: NodePlugin): boolean => {
      if (own.on.has(name)) return true;
      if (own.off.has(name) || own.off.has("*")) return false;
      if (everywhere.on.has(name)) return true;
      return !everywhere.off.has(name) && !everywhere.off.has("*");
    };
  };
  const [filters, scores] = [chosen(sets.filter), chosen(sets.score)];
  const weights = new Map([...everywhere.on, ...known(sets.score).on]);
  return {
    schedulerName: profile.schedulerName,
    search: { ...profile.capstan, percentageOfNodesToScore: profile.percentageOfNodesToScore ?? percent ?? 0 },
    plugins: (all) => ({
      ...all,
      filters: (tenant) => all.filters(tenant).filter(filters),
      scores: (tenant) => all.scores(tenant).filter(scores),
      weightOf: (plugin) => weights.get(plugin.name) || plugin.weight,
    }),
  };
}
