/** What a node agent may of the claims of its pods, and of its drivers' slices. */
import { equal } from "node:assert/strict";
import { test } from "node:test";
import { ROOT_TENANT, type Store } from "#platform/store/port.ts";
import type { AuthorizationAttributes } from "./authorizer.ts";
import { nodeAuthorizer } from "./nodes.ts";

const TENANT = 7;
const pod = {
  metadata: { name: "p" },
  spec: {
    containers: [],
    resourceClaims: [
      { name: "own", resourceClaimName: "named" },
      { name: "made", resourceClaimTemplateName: "t" },
    ],
  },
  status: {
    resourceClaimStatuses: [{ name: "made", resourceClaimName: "p-made-x" }],
    extendedResourceClaimStatus: { resourceClaimName: "p-extended-resources-x", requestMappings: [] },
  },
};
const store = {
  list: async ({ scope: { tenant } }: { scope: { tenant: number } }) => ({
    objects: tenant === TENANT ? [{ document: JSON.stringify(pod), fields: { "spec.nodeName": "n1" } }] : [],
  }),
} as unknown as Store;

const may = async (verb: string, resource: string, name: string, more: Partial<AuthorizationAttributes> = {}) => {
  const { decision } = await nodeAuthorizer(store).authorize({
    tenant: TENANT,
    user: { tenant: ROOT_TENANT, name: "system:node:n1", groups: ["system:nodes"] },
    verb,
    resource: { group: "resource.k8s.io", version: "v1", resource, subresource: "", namespace: "default", name },
    ...more,
  } as unknown as AuthorizationAttributes);
  return decision === "allow";
};

test("a node reads the claims that its pods have, by whatever way, and no others", async () => {
  for (const name of ["named", "p-made-x", "p-extended-resources-x"])
    equal(await may("get", "resourceclaims", name), true);
  equal(await may("get", "resourceclaims", "other"), false);
  equal(await may("get", "resourceclaims", "named", { tenant: ROOT_TENANT }), false);
  equal(await may("update", "resourceclaims", "named"), false);
});

test("a node takes back its own slices, and nobody else's", async () => {
  const own = { tenant: ROOT_TENANT, fieldSelector: "spec.nodeName=n1,spec.driver=d" };
  equal(await may("deletecollection", "resourceslices", "", own), true);
  equal(await may("deletecollection", "resourceslices", "", { ...own, fieldSelector: "spec.nodeName=n2" }), false);
  equal(await may("deletecollection", "resourceslices", "", { tenant: ROOT_TENANT }), false);
  equal(await may("create", "resourceslices", "x", own), false);
});
