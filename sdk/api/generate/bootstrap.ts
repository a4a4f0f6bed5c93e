/** Reads the objects every new cluster has; what the server itself sets (uid, times, managed fields) is left out. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import type { ClusterRole } from "../generated/types.ts";
import type { DynamicObject, ObjectMeta } from "../object.ts";

export const BOOTSTRAP_KINDS = {
  clusterRoles: ["rbac.authorization.k8s.io/v1", "ClusterRole"],
  clusterRoleBindings: ["rbac.authorization.k8s.io/v1", "ClusterRoleBinding"],
  roles: ["rbac.authorization.k8s.io/v1", "Role"],
  roleBindings: ["rbac.authorization.k8s.io/v1", "RoleBinding"],
  priorityClasses: ["scheduling.k8s.io/v1", "PriorityClass"],
  flowSchemas: ["flowcontrol.apiserver.k8s.io/v1", "FlowSchema"],
  priorityLevelConfigurations: ["flowcontrol.apiserver.k8s.io/v1", "PriorityLevelConfiguration"],
} as const;

const SERVER_SET = ["uid", "resourceVersion", "creationTimestamp", "managedFields", "generation"];

function clean(apiVersion: string, kind: string, object: DynamicObject): DynamicObject {
  const metadata = Object.fromEntries(
    Object.entries(object.metadata).filter(([key]) => !SERVER_SET.includes(key)),
  ) as ObjectMeta;
  const { status: _status, apiVersion: _apiVersion, kind: _kind, ...rest } = object;
  return { apiVersion, kind, ...rest, metadata };
}

/** The rules that the aggregation controller would write: those of the roles selected, in the order of their names. */
function aggregate(roles: ClusterRole[]): ClusterRole[] {
  const done = new Map<string, ClusterRole>();
  const resolve = (role: ClusterRole): ClusterRole => {
    const name = role.metadata.name ?? "";
    const known = done.get(name);
    if (known) return known;
    const selectors = role.aggregationRule?.clusterRoleSelectors;
    const chosen = selectors?.flatMap((selector) =>
      roles
        .filter((other) => other !== role)
        .filter((other) =>
          Object.entries(selector.matchLabels ?? {}).every(([k, v]) => other.metadata.labels?.[k] === v),
        )
        .sort((a, b) => ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1)),
    );
    const rules = chosen?.flatMap((other) => resolve(other).rules ?? []);
    const unique = rules?.filter((rule, i) => rules.findIndex((r) => JSON.stringify(r) === JSON.stringify(rule)) === i);
    const result = unique ? { ...role, rules: unique } : role;
    done.set(name, result);
    return result;
  };
  return roles.map(resolve);
}

export function readBootstrap(folder: string): Record<keyof typeof BOOTSTRAP_KINDS, DynamicObject[]> {
  const lists = Object.entries(BOOTSTRAP_KINDS).map(([name, [apiVersion, kind]]) => {
    const objects = JSON.parse(readFileSync(join(folder, `${kind}List.json`), "utf8")) as DynamicObject[];
    const cleaned = objects.map((object) => clean(apiVersion, kind, object));
    return [name, name === "clusterRoles" ? aggregate(cleaned as unknown as ClusterRole[]) : cleaned];
  });
  return Object.fromEntries(lists) as Record<keyof typeof BOOTSTRAP_KINDS, DynamicObject[]>;
}
