/** Gives an aggregated ClusterRole the rules of those its selectors find (upstream: pkg/controller/clusterroleaggregation). */
import type { ClusterRole, PolicyRule } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import { runController } from "#sdk/client/controller.ts";
import { keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { sameJson } from "../objects.ts";
import { CLUSTER_ROLES } from "../resources.ts";

/** In the order of selectors, and of names for each; a rule that is there already is not repeated. */
export function aggregatedRules(role: ClusterRole, all: readonly ClusterRole[]): PolicyRule[] {
  const rules: PolicyRule[] = [];
  const sorted = all.toSorted((a, b) => ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1));
  for (const selector of role.aggregationRule?.clusterRoleSelectors ?? []) {
    for (const other of sorted) {
      if (other.metadata.name === role.metadata.name || !selectsLabels(selector, other.metadata.labels)) continue;
      for (const rule of other.rules ?? []) {
        if (!rules.some((present) => sameJson(present, rule))) rules.push(rule);
      }
    }
  }
  return rules;
}

export const clusterRoleAggregationController: Controller = {
  name: "clusterrole-aggregation",
  async start(context) {
    const queue = createWorkQueue();
    const roles = context.informers.clusterRoles();
    const enqueue = (changed: ClusterRole) => {
      for (const role of roles.list()) {
        if (role.aggregationRule && tenantOf(role) === tenantOf(changed)) queue.add(keyOf(role));
      }
    };
    roles.on({ added: enqueue, updated: enqueue, deleted: enqueue });
    if (!(await synced(context.signal, roles))) return;
    await runController({
      name: "clusterrole-aggregation",
      queue,
      workers: 2,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const role = roles.get(key);
        if (!role?.aggregationRule) return;
        const near = roles.list().filter((other) => tenantOf(other) === tenantOf(role));
        const rules = aggregatedRules(role, near);
        if (!sameJson(rules, role.rules ?? []))
          await clientFor(context, role).update(CLUSTER_ROLES, { ...role, rules });
      },
    });
  },
};
