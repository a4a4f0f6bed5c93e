/** A panel whose pages ask for what a person may see, what the plugin did not ask for, and what a page may not be. */
import type { ConfigMap } from "#sdk/api/generated/types.ts";
import * as api from "#sdk/plugin/api.ts";
import { definePanel } from "#sdk/plugin/define.ts";

const configmaps = { group: "", version: "v1", resource: "configmaps" };
const secrets = { group: "", version: "v1", resource: "secrets" };

export const panel = definePanel({
  render({ path, namespace, user }) {
    if (path === "secrets") return { title: String(api.list(secrets, { namespace }).items.length), children: [] };
    if (path === "broken") return { title: "Broken", children: [{ html: "<script>alert(1)</script>" }] };
    const { items } = api.list<ConfigMap>(configmaps, { namespace });
    const rows = items.map(({ metadata }) => ({ cells: [metadata.name ?? ""] }));
    return {
      title: `Of ${(JSON.parse(user) as { name: string }).name}`,
      unknown: "does not cross",
      children: [
        { heading: "<b>ConfigMaps</b>" },
        { table: { columns: ["Name"], rows } },
        { actions: [{ id: "make", label: "Make", fields: [{ name: "name", label: "Name", kind: "text" }] }] },
      ],
    };
  },
  act({ namespace }, action, fields) {
    if (action !== "make") throw new Error(`there is no action ${action}`);
    const name = String(fields["name"]);
    api.create<ConfigMap>(configmaps, { apiVersion: "v1", kind: "ConfigMap", metadata: { name, namespace } });
    return `${name} is made`;
  },
});
