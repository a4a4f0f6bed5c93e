/** World permit, in the shapes of the scheduler's port: whether a pod that has found its node is bound now, waits for others, or is not bound. */
import { type Log, messageOf } from "#platform/base/log.ts";
import type { PermitDecision } from "#sdk/plugin/types.ts";
import type { LoadedPlugin, PluginHost } from "../../host.ts";
import { hasSomething, projector } from "../../projection.ts";

export interface PermitPlacement {
  /** The Pod with facts about it; the component is shown the projection that it declares. */
  pod: { tenant: string };
  node: string;
}

export interface PermitPlugin {
  name: string;
  /** One decision for each pod, in their order. Throws PluginCallError where the failure policy is Fail; with Ignore, all are allowed. */
  permit(group: string, placements: readonly PermitPlacement[]): Promise<PermitDecision[]>;
  unreserve(group: string, placement: PermitPlacement): Promise<void>;
}

/** Who has a say about a pod: root's plugins and its tenant's own, that this pod concerns (spec.filterConcern). */
export interface PermitPlugins {
  /** Somebody has a say about some pod. */
  any(): boolean;
  list(pod: PermitPlacement["pod"]): readonly PermitPlugin[];
}

export function createPermitPlugins(host: PluginHost, log: Log): PermitPlugins {
  const made = new WeakMap<LoadedPlugin, Adapted>();
  const adapted = (plugin: LoadedPlugin): Adapted => {
    let known = made.get(plugin);
    if (known?.spec !== plugin.spec) {
      known = adapt(plugin, log);
      made.set(plugin, known);
    }
    return known;
  };
  return {
    any: () => host.everybodys("permit").length > 0,
    list: (pod) =>
      host
        .loaded("permit", pod.tenant)
        .map(adapted)
        .filter(({ concerns }) => concerns(pod)),
  };
}

interface Adapted extends PermitPlugin {
  spec: LoadedPlugin["spec"];
  concerns(pod: object): boolean;
}

function adapt(plugin: LoadedPlugin, log: Log): Adapted {
  const { spec, name } = plugin;
  const text = projector(spec.projection["pod"]);
  const shown = ({ pod, node }: PermitPlacement) => ({ pod: text(pod), node });
  const { pod: paths } = spec.filterConcern ?? {};
  const gives = (hook: string) => spec.hooks.permit?.includes(hook) ?? true;
  return {
    name,
    spec,
    concerns: paths ? hasSomething(paths) : () => true,
    async permit(group, placements) {
      try {
        const args = [group, placements.map(shown)];
        return (await plugin.call("permit-hooks", "permit", args, {
          tenant: tenantOf(placements),
        })) as PermitDecision[];
      } catch (error) {
        if (spec.failurePolicy === "Fail") throw error;
        log.warn("a permit plugin failed and was ignored", { plugin: name, error: messageOf(error) });
        return placements.map(() => ({ tag: "allow" }));
      }
    },
    async unreserve(group, placement) {
      if (!gives("unreserve")) return;
      const args = [group, shown(placement)];
      await plugin.call("permit-hooks", "unreserve", args, { tenant: placement.pod.tenant }).catch((error) => {
        log.warn("a permit plugin was not told of a pod that is not bound", { plugin: name, error: messageOf(error) });
      });
    },
  };
}

/** A group is of one tenant. */
const tenantOf = (placements: readonly PermitPlacement[]): string => placements[0]?.pod.tenant ?? "root";
