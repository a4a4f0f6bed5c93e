import { readConfig } from "#sdk/plugin/config.ts";
import { defineDevice } from "#sdk/plugin/define-node.ts";

interface Config {
  resource?: string;
  devices?: string[];
}

export const device = defineDevice({
  // A real plugin looks at what is there, for example by "#sdk/plugin/files.ts" below /sys.
  inventory() {
    const { resource = "example.com/widget", devices = [] } = readConfig<Config>();
    const pool = {
      resourceName: resource,
      devices: devices.map((id) => ({ id, healthy: true, numaNodes: [] })),
      preStartRequired: false,
      preferredAllocation: false,
    };
    return { pools: [pool], resourceSlices: "", nextMs: 0 };
  },
  allocate: (_resource, ids) => ({ envs: [["WIDGETS", ids.join(",")]] }),
});
