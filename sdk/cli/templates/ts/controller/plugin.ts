import * as api from "#sdk/plugin/api.ts";
import { readConfig } from "#sdk/plugin/config.ts";
import { defineController } from "#sdk/plugin/define.ts";

const namespaces = { group: "", version: "v1", resource: "namespaces" };
const configmaps = { group: "", version: "v1", resource: "configmaps" };

export const controller = defineController({
  watches: () => [{ ...namespaces, labelSelector: "welcome=yes", fieldSelector: "", key: { tag: "self" } }],

  // Called again and again: looks at what is, and does what lacks.
  reconcile({ name: namespace }) {
    const asks = api.find(namespaces, { name: namespace })?.metadata.labels?.welcome === "yes";
    if (!asks || api.find(configmaps, { namespace, name: "welcome" })) return undefined;
    const { text = "" } = readConfig<{ text?: string }>();
    const object = { apiVersion: "v1", kind: "ConfigMap", metadata: { name: "welcome", namespace }, data: { text } };
    api.create(configmaps, object);
    console.log(`welcomed ${namespace}`);
    return undefined;
  },
});
