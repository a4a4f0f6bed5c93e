/** What every tenant has from its first moment, and what root has besides. Written where it is absent; what is there is left alone. */
import type { Log } from "#platform/base/log.ts";
import { messageOf } from "#platform/base/log.ts";
import { ROOT_TENANT, type TenantId } from "#platform/store/port.ts";
import { bootstrap } from "#sdk/api/facts.ts";
import { type DynamicObject, PLUGINS_GROUP, TENANT_PLUGIN_USER_PREFIX } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import { withFeatureRules } from "./authz/feature-roles.ts";
import { LOOP_GROUPS } from "./authz/rbac.ts";
import { reconciled } from "./authz/reconcile.ts";
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

const [CONTROLLERS, SCHEDULER] = LOOP_GROUPS;
const SERVING_APPROVER = "system:certificates.k8s.io:kubelet-serving-approver";

/**
 * The platform's own loops hold upstream's roles for what they do, every controller's for the one process that runs them all; the scheduler is
 * bound by name in upstream's own bindings. Both report on the components they run. These are root's, and hold in every tenant (authz/rbac.ts).
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
      // Upstream's API server makes these itself.
      { apiGroups: ["networking.k8s.io"], resources: ["servicecidrs"], verbs: ["create"] },
      { apiGroups: ["networking.k8s.io"], resources: ["ipaddresses"], verbs: [...read, "create", "delete"] },
      // The processes that run tenants' own plugins act as those plugins' users.
      {
        apiGroups: [""],
        resources: ["users"],
        resourceNames: [`${TENANT_PLUGIN_USER_PREFIX}*`],
        verbs: ["impersonate"],
      },
      { apiGroups: [""], resources: ["groups"], resourceNames: [PLUGINS_GROUP], verbs: ["impersonate"] },
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
    clusterBinding("capstan:kubelet-serving-approver", SERVING_APPROVER, [CONTROLLERS]),
    ...controllers.map((name) => clusterBinding(`capstan:${name.slice("system:".length)}`, name, [CONTROLLERS])),
  ];
  return { roles, bindings };
}

const AGGREGATE = "rbac.authorization.k8s.io/aggregate-to-";
const aggregate = (labels: string[]) => ({
  aggregationRule: { clusterRoleSelectors: labels.map((label) => ({ matchLabels: { [label]: "true" } })) },
});

/** Roles ready for people: in a project (bound in its namespaces), for all of a project, for plugins' pages, and for a whole tenant. */
function peopleRoles(): DynamicObject[] {
  const described = (name: string, description: string, more: object): DynamicObject => ({
    ...clusterRole(name, []),
    metadata: { name, annotations: { "kubernetes.io/description": description } },
    ...more,
  });
  const quotas = ["resourcequotas", "limitranges"];
  const rules = [
    { apiGroups: [""], resources: quotas, verbs: ["get", "list", "watch"] },
    { apiGroups: [""], resources: ["limitranges"], verbs: ["create", "update", "patch", "delete"] },
  ];
  return [
    described(
      "capstan:developer",
      "Developer: runs and debugs workloads in the namespaces it is bound in; no roles, no quotas.",
      {
        ...aggregate([`${AGGREGATE}edit`, `${AGGREGATE}view`, `${AGGREGATE}developer`]),
      },
    ),
    described(
      "capstan:project-admin",
      "ProjectAdmin: a developer who also decides who may do what in the project, and its limits.",
      {
        ...aggregate([`${AGGREGATE}admin`, `${AGGREGATE}edit`, `${AGGREGATE}view`, `${AGGREGATE}project-admin`]),
      },
    ),
    {
      ...clusterRole("capstan:project-admin-limits", rules),
      metadata: { name: "capstan:project-admin-limits", labels: { [`${AGGREGATE}project-admin`]: "true" } },
    },
    described(
      "capstan:panels",
      "Panels: sees which plugins there are and uses their pages, each of which shows and does what the person may and nothing else.",
      {
        rules: [
          { apiGroups: ["capstan.dev"], resources: ["plugins"], verbs: ["get", "list", "watch"] },
          { apiGroups: ["capstan.dev"], resources: ["plugins/panel"], verbs: ["get", "create"] },
        ],
      },
    ),
    described("capstan:administrator", "Administrator: everything in the tenant; in root, the platform too.", {
      rules: [
        { apiGroups: ["*"], resources: ["*"], verbs: ["*"] },
        { nonResourceURLs: ["*"], verbs: ["*"] },
      ],
    }),
  ];
}

type Wanted = [group: string, resource: string, objects: readonly DynamicObject[]];

function wantedRbac(tenant: TenantId, { catalog }: Registry): Wanted[] {
  const facts = bootstrap();
  const { roles, bindings } = tenant === ROOT_TENANT ? loopRoles() : { roles: [], bindings: [] };
  return [
    [RBAC, "clusterroles", [...withFeatureRules(facts.clusterRoles, catalog), ...peopleRoles(), ...roles]],
    [RBAC, "clusterrolebindings", [...facts.clusterRoleBindings, ...bindings]],
    [RBAC, "roles", facts.roles],
    [RBAC, "rolebindings", facts.roleBindings],
  ];
}

function wanted(tenant: TenantId, registry: Registry): Wanted[] {
  const facts = bootstrap();
  return [
    ["", "namespaces", NAMESPACES.map((name) => ({ metadata: { name } }))],
    ...wantedRbac(tenant, registry),
    ["scheduling.k8s.io", "priorityclasses", facts.priorityClasses],
    ...flowDefaults(),
  ];
}

function flowDefaults(): Wanted[] {
  const { flowSchemas, priorityLevelConfigurations } = bootstrap();
  return [
    ["flowcontrol.apiserver.k8s.io", "flowschemas", flowSchemas],
    ["flowcontrol.apiserver.k8s.io", "prioritylevelconfigurations", priorityLevelConfigurations],
  ];
}

/** Upstream's flow schemas and priority levels, those that somebody took away. Throws StatusError when the store refuses. */
export async function ensureFlowDefaults(registry: Registry, now: number): Promise<void> {
  const context = systemContext(ROOT_TENANT, "root", now);
  for (const [group, resource, objects] of flowDefaults()) {
    const entry = registry.catalog.byName(group, resource);
    if (entry) await ensure(registry, context, entry, objects);
  }
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
  for (const [group, resource, objects] of wanted(tenant.id, registry)) {
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

/** Default roles and bindings that are there get what they lack (authz/reconcile.ts); those that are absent were somebody's to delete until the next start. */
export async function reconcileTenant(
  registry: Registry,
  tenant: { id: TenantId; name: string },
  now: number,
): Promise<void> {
  const context = systemContext(tenant.id, tenant.name, now);
  for (const [group, resource, objects] of wantedRbac(tenant.id, registry)) {
    const entry = registry.catalog.byName(group, resource);
    if (!entry) continue;
    const scope = { tenant: tenant.id, resource: entry.storeResource };
    const { objects: present } = await registry.store.list({ scope, freshness: { type: "atLeast", revision: 0 } });
    const wantedByKey = new Map(objects.map((o) => [`${o.metadata.namespace ?? ""}/${o.metadata.name ?? ""}`, o]));
    for (const { key, document } of present) {
      const object = wantedByKey.get(`${key.namespace}/${key.name}`);
      if (!object || !reconciled(JSON.parse(document) as DynamicObject, object)) continue;
      const produce = (old: DynamicObject) => reconciled(old, object) ?? old;
      const request = { namespace: key.namespace, name: key.name, subresource: "", retries: true, produce };
      await registry.update(context, entry, request, { dryRun: false, fieldManager: "capstan" });
    }
  }
}
