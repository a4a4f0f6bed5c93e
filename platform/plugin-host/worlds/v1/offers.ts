/** World offers, in the shapes of the scheduler's port: a framework is asked what it takes of the room that is offered. */
import type { OfferAnswer } from "#sdk/plugin/types.ts";
import type { LoadedPlugin, PluginHost } from "../../host.ts";
import { projector } from "../../projection.ts";

export interface OfferedRoom {
  id: string;
  node: string;
  free: { cpuMilli: number; memory: number; ephemeralStorage: number; others: [name: string, amount: number][] };
  /** The Node; the framework is shown the projection that it declares. */
  object: unknown;
}

export interface Framework {
  name: string;
  /** Throws PluginCallError. */
  offer(tenant: string, rooms: readonly OfferedRoom[]): Promise<OfferAnswer>;
}

export interface Frameworks {
  list(): readonly Framework[];
  onChange(listener: () => void): void;
}

export function createFrameworks(host: PluginHost): Frameworks {
  const adapted = (plugin: LoadedPlugin): Framework => ({
    name: plugin.name,
    async offer(tenant, rooms) {
      const text = projector(plugin.spec.projection["node"]);
      const shown = rooms.map(({ object, ...room }) => ({ ...room, object: text(object) }));
      return (await plugin.call("offer-hooks", "offer", [tenant, shown], { tenant })) as OfferAnswer;
    },
  });
  return {
    list: () => host.loaded("offers").map(adapted),
    onChange: (listener) => host.onChange(listener),
  };
}
