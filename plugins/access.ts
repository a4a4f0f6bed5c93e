/**
 * What an installed plugin may do in the API: a ClusterRole and binding for its own user, from the rules that its manifest asks for, and for
 * the process that runs it the right to act as that user. Root's objects; a person who installs a plugin by hand writes the same.
 */
import { type KubeObject, PLUGIN_USER_PREFIX, PLUGINS_GROUP, TENANT_PLUGIN_USER_PREFIX } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import type { Plugin } from "#sdk/plugin/manifest.ts";

const GROUP = "rbac.authorization.k8s.io";
/** Groups of the processes that run plugins with the API; the API server's own needs no role. */
const RUNNERS = { controllers: "capstan:controllers", scheduler: "capstan:scheduler" };
const SCHEDULING: readonly string[] = ["filter", "score", "permit", "offers"];
const resource = (name: string) => ({ group: GROUP, version: "v1", resource: name });

type AccessObject = KubeObject & { rules?: unknown; roleRef?: unknown; subjects?: unknown };

const clusterRole = (name: string, rules: object[]): AccessObject => ({
  apiVersion: `${GROUP}/v1`,
  kind: "ClusterRole",
  metadata: { name },
  rules,
});
const binding = (name: string, kind: "User" | "Group", ...subjects: string[]): AccessObject => ({
  apiVersion: `${GROUP}/v1`,
  kind: "ClusterRoleBinding",
  metadata: { name },
  roleRef: { apiGroup: GROUP, kind: "ClusterRole", name },
  subjects: subjects.map((subject) => ({ kind, apiGroup: GROUP, name: subject })),
});

const runnersOf = ({ spec }: Plugin): string[] =>
  spec.worlds.some((world) => SCHEDULING.includes(world))
    ? [RUNNERS.controllers, RUNNERS.scheduler]
    : [RUNNERS.controllers];

/**
 * None for a plugin that was not granted `api`. `owner`: the tenant that it is installed in, whose objects these are; who may run tenants'
 * plugins is one right of root's.
 */
export function accessOf(plugin: Plugin, owner = "root"): { roles: AccessObject[]; bindings: AccessObject[] } {
  const api = plugin.spec.capabilities?.find((c) => c.name === "api");
  if (!api) return { roles: [], bindings: [] };
  const { name = "" } = plugin.metadata;
  const acts = `capstan:plugin:${name}`;
  if (owner !== "root") {
    const own = TENANT_PLUGIN_USER_PREFIX + name;
    return { roles: [clusterRole(acts, api.rules ?? [])], bindings: [binding(acts, "User", own)] };
  }
  const user = PLUGIN_USER_PREFIX + name;
  const runs = `capstan:run-plugin:${name}`;
  const act = { apiGroups: [""], verbs: ["impersonate"] };
  return {
    roles: [
      clusterRole(acts, api.rules ?? []),
      clusterRole(runs, [
        { ...act, resources: ["users"], resourceNames: [user] },
        { ...act, resources: ["groups"], resourceNames: [PLUGINS_GROUP] },
      ]),
    ],
    bindings: [binding(acts, "User", user), binding(runs, "Group", ...runnersOf(plugin))],
  };
}

/** Idempotent. The rules become those of the manifest, whatever was there: more than what was approved is nobody's to add. */
export async function grantAccess(client: Client, plugin: Plugin, owner = "root"): Promise<void> {
  const { roles, bindings } = accessOf(plugin, owner);
  for (const object of roles) await put(client, "clusterroles", object);
  for (const object of bindings) await put(client, "clusterrolebindings", object);
}

const same = (a: AccessObject, b: AccessObject) =>
  JSON.stringify([a.rules, a.roleRef, a.subjects]) === JSON.stringify([b.rules, b.roleRef, b.subjects]);

async function put(client: Client, plural: string, wanted: AccessObject): Promise<void> {
  try {
    const present = await client.get<AccessObject>(resource(plural), { name: wanted.metadata.name ?? "" });
    if (!same(present, wanted))
      await client.update(resource(plural), { ...present, ...wanted, metadata: present.metadata });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
    await client.create(resource(plural), wanted);
  }
}
