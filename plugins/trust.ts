/** Processes that run components may read which keys the tenants trust: root's objects, for root's loops act in every tenant by root's roles. */
import type { KubeObject } from "#sdk/api/object.ts";
import type { Client } from "#sdk/client/port.ts";
import { TRUSTED_KEYS } from "#sdk/distribution/trust.ts";

const GROUP = "rbac.authorization.k8s.io";
const NAME = "capstan:plugin-keys";
const READERS = ["capstan:controllers", "capstan:scheduler", "system:nodes"];

/** Idempotent. */
export async function grantTrust(client: Client): Promise<void> {
  const metadata = { name: NAME, namespace: TRUSTED_KEYS.namespace };
  const rule = { apiGroups: [""], resources: ["configmaps"], resourceNames: [TRUSTED_KEYS.name], verbs: ["get"] };
  const roleRef = { apiGroup: GROUP, kind: "Role", name: NAME };
  const subjects = READERS.map((name) => ({ kind: "Group", apiGroup: GROUP, name }));
  const apply = (resource: string, object: KubeObject) =>
    client.patch(
      { group: GROUP, version: "v1", resource },
      { namespace: metadata.namespace, name: NAME },
      { type: "apply", body: object, fieldManager: "capstan", force: true },
    );
  const apiVersion = `${GROUP}/v1`;
  await apply("roles", { apiVersion, kind: "Role", metadata, rules: [rule] } as KubeObject);
  await apply("rolebindings", { apiVersion, kind: "RoleBinding", metadata, roleRef, subjects } as KubeObject);
}
