/** What every tenant has from its first moment, and what root has besides. Written where it is absent; what is there is left alone. */
import type { Log } from "#platform/base/log.ts";
import { messageOf } from "#platform/base/log.ts";
import { ROOT_TENANT, type TenantId } from "#platform/store/port.ts";
import { bootstrap } from "#sdk/api/facts.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import type { Registry } from "./registry/registry.ts";
import type { RequestContext, ResourceEntry } from "./registry/strategy.ts";

const RBAC = "rbac.authorization.k8s.io";
const NAMESPACES = ["default", "kube-system", "kube-public", "kube-node-lease"];

/** The server itself, in a tenant. */
export function systemContext(tenant: TenantId, tenantName: string, now: number): RequestContext {
  return {
    tenant,
    tenantName,
    user: { tenant: ROOT_TENANT, name: "system:apiserver", groups: ["system:masters", "system:authenticated"] },
    now,
    requestId: "bootstrap",
    signal: new AbortController().signal,
    warn: () => undefined,
  };
}

const group = (name: string) => ({ kind: "Group", apiGroup: RBAC, name });
const clusterRole = (name: string, rules: object[]): DynamicObject => ({ metadata: { name }, rules });
const clusterBinding = (name: string, role: string, groups: string[]): DynamicObject => ({
  metadata: { name },
  roleRef: { apiGroup: RBAC, kind: "ClusterRole", name: role },
  subjects: groups.map(group),
});

const CONTROLLERS = "capstan:controllers";
const SCHEDULER = "capstan:scheduler";

/**
 * The platform's own loops hold upstream's roles for what they do, every controller's for the one process that runs them all; the scheduler is
 * bound by name in upstream's own bindings. Both report on the components they run.
 */
function loopRoles(): { roles: DynamicObject[]; bindings: DynamicObject[] } {
  const controllers = bootstrap()
    .clusterRoles.map((r) => r.metadata.name ?? "")
    .filter((n) => n.startsWith("system:controller:"));
  const read = ["get", "list", "watch"];
  const roles = [
    clusterRole("capstan:loop", [
      { apiGroups: ["capstan.dev"], resources: ["tenants"], verbs: [...read, "access"] },
      { apiGroups: ["capstan.dev"], resources: ["plugins"], verbs: read },
      { apiGroups: ["capstan.dev"], resources: ["plugins/status"], verbs: ["get", "patch", "update"] },
      { apiGroups: ["coordination.k8s.io"], resources: ["leases"], verbs: [...read, "create", "update", "patch"] },
      { apiGroups: ["", "events.k8s.io"], resources: ["events"], verbs: ["create", "update", "patch"] },
      { apiGroups: [""], resources: ["namespaces", "configmaps", "services", "nodes", "pods"], verbs: read },
    ]),
    clusterRole(CONTROLLERS, [
      { apiGroups: [""], resources: ["configmaps", "serviceaccounts"], verbs: [...read, "create", "update", "patch"] },
      { apiGroups: [""], resources: ["services/status"], verbs: ["update", "patch"] },
      { apiGroups: [""], resources: ["endpoints"], verbs: [...read, "create", "update", "patch", "delete"] },
      {
        apiGroups: ["discovery.k8s.io"],
        resources: ["endpointslices"],
        verbs: [...read, "create", "update", "patch", "delete"],
      },
    ]),
  ];
  const bindings = [
    clusterBinding("capstan:loop", "capstan:loop", [CONTROLLERS, SCHEDULER]),
    clusterBinding(CONTROLLERS, CONTROLLERS, [CONTROLLERS]),
    ...controllers.map((name) => clusterBinding(`capstan:${name.slice("system:".length)}`, name, [CONTROLLERS])),
  ];
  return { roles, bindings };
}

type Wanted = [group: string, resource: string, objects: readonly DynamicObject[]];

function wanted(): Wanted[] {
  const facts = bootstrap();
  const { roles, bindings } = loopRoles();
  return [
    ["", "namespaces", NAMESPACES.map((name) => ({ metadata: { name } }))],
    [RBAC, "clusterroles", [...facts.clusterRoles, ...roles]],
    [RBAC, "clusterrolebindings", [...facts.clusterRoleBindings, ...bindings]],
    [RBAC, "roles", facts.roles],
    [RBAC, "rolebindings", facts.roleBindings],
    ["scheduling.k8s.io", "priorityclasses", facts.priorityClasses],
    ["flowcontrol.apiserver.k8s.io", "flowschemas", facts.flowSchemas],
    ["flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", facts.priorityLevelConfigurations],
  ];
}

async function ensure(
  registry: Registry,
  context: RequestContext,
  entry: ResourceEntry,
  objects: readonly DynamicObject[],
): Promise<void> {
  const scope = { tenant: context.tenant, resource: entry.storeResource };
  const present = await registry.store.list({ scope, freshness: { type: "consistent" } });
  const names = new Set(present.objects.map(({ key }) => `${key.namespace}/${key.name}`));
  const { kind, group: g, version } = entry.facts;
  const absent = objects.filter((o) => !names.has(`${o.metadata.namespace ?? ""}/${o.metadata.name ?? ""}`));
  const apiVersion = g === "" ? version : `${g}/${version}`;
  await Promise.all(
    absent.map(async (object) => {
      const complete = structuredClone({ ...object, kind, apiVersion });
      try {
        await registry.create(context, entry, object.metadata.namespace ?? "", complete, {
          dryRun: false,
          fieldManager: "capstan",
        });
      } catch (error) {
        // Another API server was faster.
        if (!(error instanceof StatusError && error.reason === "AlreadyExists")) throw error;
      }
    }),
  );
}

/** Idempotent; throws StatusError when the store refuses. */
export async function ensureTenant(
  registry: Registry,
  tenant: { id: TenantId; name: string },
  now: number,
  log: Log,
): Promise<void> {
  const context = systemContext(tenant.id, tenant.name, now);
  for (const [group, resource, objects] of wanted()) {
    const entry = registry.catalog.byName(group, resource);
    if (!entry) continue;
    try {
      await ensure(registry, context, entry, objects);
    } catch (error) {
      log.error("a tenant's first objects could not be written", {
        tenant: tenant.name,
        resource,
        error: messageOf(error),
      });
      throw error;
    }
  }
}
