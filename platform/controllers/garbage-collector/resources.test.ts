import assert from "node:assert/strict";
import { test } from "node:test";
import type { CustomResourceDefinition } from "#sdk/api/generated/types.ts";
import type { DiscoveredResource } from "#sdk/client/discovery.ts";
import { Resources } from "./resources.ts";

const pods: DiscoveredResource = {
  group: "",
  version: "v1",
  resource: "pods",
  kind: "Pod",
  namespaced: true,
  verbs: [],
};
const definition = (tenant: string, version: string, kind: string, established = true): CustomResourceDefinition => ({
  metadata: { name: "widgets.example.com", annotations: { "capstan.dev/tenant": tenant } },
  spec: {
    group: "example.com",
    names: { plural: "widgets", kind },
    scope: "Cluster",
    versions: [
      { name: "v1alpha1", served: false, storage: false },
      { name: version, served: true, storage: true },
    ],
  },
  status: {
    acceptedNames: { plural: "widgets", kind },
    storedVersions: [version],
    conditions: [{ type: "Established", status: established ? "True" : "False" }],
  },
});

test("each tenant's custom resources are its own, in the version and kind that it serves", () => {
  const resources = new Resources();
  assert.deepEqual(resources.discovered([pods]), [pods]);
  const acme = resources.define(definition("acme", "v1", "Widget"));
  resources.define(definition("globex", "v2", "Gadget"));
  assert.equal(acme?.version, "v1");
  assert.equal(resources.inTenant("globex", acme).version, "v2");
  assert.equal(resources.ofKind("globex", "example.com", "Gadget")?.version, "v2");
  assert.equal(resources.ofKind("globex", "example.com", "Widget"), undefined);
  assert.equal(resources.ofKind("root", "example.com", "Widget"), undefined);
  assert.equal(resources.ofKind("acme", "", "Pod"), pods);
  resources.forget(definition("acme", "v1", "Widget"));
  assert.equal(resources.ofKind("acme", "example.com", "Widget"), undefined);
});

test("what root defines is root's, whether discovery or the definition is seen first", () => {
  const resources = new Resources();
  const [found] = resources.discovered([{ ...pods, group: "example.com", resource: "widgets", kind: "Widget" }]);
  assert.ok(found);
  resources.define(definition("root", "v1", "Widget"));
  assert.equal(resources.ofKind("acme", "example.com", "Widget"), undefined);
  assert.deepEqual(resources.discovered([found]), []);
  assert.equal(resources.define(definition("acme", "v1", "Widget", false)), undefined);
});
