import { readConfig } from "#sdk/plugin/config.ts";
import { defineNetwork } from "#sdk/plugin/define.ts";
import { failure } from "#sdk/plugin/failure.ts";

/**
 * Container id and interface to the last number of its address. An instance may be made anew at any time: a real plugin keeps this in files
 * ("#sdk/plugin/files.ts") and makes the links by "#sdk/plugin/net.ts" or a CNI program ("#sdk/plugin/exec.ts").
 */
const given = new Map<string, number>();
const FIRST = 2;
const LAST = 254;

function addressFor(key: string): number {
  const had = given.get(key);
  if (had !== undefined) return had;
  const taken = new Set(given.values());
  for (let last = FIRST; last <= LAST; last++) {
    if (taken.has(last)) continue;
    given.set(key, last);
    return last;
  }
  throw failure("ResourceExhausted", "no address is left", 8);
}

export const network = defineNetwork({
  add({ containerId, interfaceName }) {
    const { prefix = "10.99.0." } = readConfig<{ prefix?: string }>();
    const last = addressFor(`${containerId}/${interfaceName}`);
    return {
      cniVersion: "1.1.0",
      interfaces: [{ name: interfaceName }],
      ips: [{ address: `${prefix}${last}/24`, gateway: `${prefix}1`, interface: 0 }],
      routes: [{ dst: "0.0.0.0/0", gw: `${prefix}1` }],
    };
  },
  del({ containerId, interfaceName }) {
    given.delete(`${containerId}/${interfaceName}`);
  },
  check({ containerId, interfaceName }) {
    if (!given.has(`${containerId}/${interfaceName}`)) throw failure("NotFound", "there is no such attachment", 404);
  },
  status() {
    if (given.size > LAST - FIRST) throw failure("Unavailable", "no address is left", 503);
  },
  gc(valid) {
    const keep = new Set(valid.map(([containerId, name]) => `${containerId}/${name}`));
    for (const key of given.keys()) if (!keep.has(key)) given.delete(key);
  },
});
