import type { ConfigMap } from "#sdk/api/generated/types.ts";
import * as api from "#sdk/plugin/api.ts";
import { definePanel } from "#sdk/plugin/define.ts";

const configmaps = { group: "", version: "v1", resource: "configmaps" };

export const panel = definePanel({
  render({ namespace }) {
    const { items } = api.list<ConfigMap>(configmaps, { namespace: namespace || undefined, limit: 100 });
    const rows = items.map(({ metadata, data }) => ({
      cells: [metadata?.name ?? "", Object.keys(data ?? {}).join(", ")],
    }));
    return { title: "ConfigMaps", children: [{ table: { columns: ["Name", "Keys"], rows } }] };
  },
});
