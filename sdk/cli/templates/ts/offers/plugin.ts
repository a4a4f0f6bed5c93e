import { readConfig } from "#sdk/plugin/config.ts";
import { defineOffers } from "#sdk/plugin/define.ts";

interface Config {
  pods?: { namespace: string; name: string; cpuMilli: number }[];
  declineMs?: number;
}

export const offers = defineOffers({
  offer(_tenant, rooms) {
    const { pods = [], declineMs = 0 } = readConfig<Config>();
    const left = new Map(rooms.map((room) => [room, room.free.cpuMilli]));
    const accepted = pods.flatMap(({ namespace, name, cpuMilli }) => {
      const [room, free] = [...left].find(([, milli]) => milli >= cpuMilli) ?? [];
      if (!room || free === undefined) return [];
      left.set(room, free - cpuMilli);
      return [{ offer: room.id, namespace, pod: name }];
    });
    return { accepted, declineMs };
  },
});
