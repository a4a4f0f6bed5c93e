import { deepEqual } from "node:assert/strict";
import test from "node:test";
import type { ClusterRole } from "#sdk/api/generated/types.ts";
import { until } from "#sdk/testing/until.ts";
import { CLUSTER_ROLES } from "../resources.ts";
import { world } from "../testing/world.ts";
import { clusterRoleAggregationController } from "./controller.ts";

const rule = (resource: string) => ({ apiGroups: [""], resources: [resource], verbs: ["get"] });
const part = (name: string, ...resources: string[]): ClusterRole => ({
  apiVersion: "rbac.authorization.k8s.io/v1",
  kind: "ClusterRole",
  metadata: { name, labels: { "aggregate-to-view": "true" } },
  rules: resources.map(rule),
});

test("an aggregated role follows the roles its selectors find, within its tenant", async (t) => {
  const api = world(t, [clusterRoleAggregationController]);
  const view = { ...part("view"), metadata: { name: "view" } };
  view.aggregationRule = { clusterRoleSelectors: [{ matchLabels: { "aggregate-to-view": "true" } }] };
  await api.client.create(CLUSTER_ROLES, view);
  await api.client.create(CLUSTER_ROLES, part("b", "pods", "nodes"));
  await api.client.create(CLUSTER_ROLES, part("a", "pods"));
  await api.client.tenant("acme").create(CLUSTER_ROLES, part("c", "secrets"));
  const rules = async () => (await api.client.get<ClusterRole>(CLUSTER_ROLES, { name: "view" })).rules ?? [];
  await until(async () => (await rules()).length === 2);
  deepEqual(await rules(), [rule("pods"), rule("nodes")]);
  await api.client.delete(CLUSTER_ROLES, { name: "b" });
  await until(async () => (await rules()).length === 1);
});
