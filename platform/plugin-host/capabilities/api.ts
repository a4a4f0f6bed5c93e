/** The capability `api`: the Kubernetes API through the client that the role gives for this plugin and tenant. */
import type { GroupVersionResource, JsonObject, KubeObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import type { Client, DeleteOptions, Patch } from "#sdk/client/port.ts";
import { hostFailure } from "./failure.ts";

interface Target extends GroupVersionResource {
  subresource: string;
  namespace: string;
  name: string;
}
interface Selection {
  labelSelector: string;
  fieldSelector: string;
  limit: number;
  continue: string;
}
export type ApiVerb = "get" | "list" | "create" | "update" | "patch" | "apply" | "delete";

/** A list longer than this comes in pages that the guest asks for. */
const LIST_MAX = 5000;

interface Rule {
  apiGroups: string[];
  resources: string[];
  verbs: string[];
  resourceNames?: string[];
}

/** Whether the rules of a manifest's capability `api` cover a call, as RBAC would judge it. */
export function withinRules(rules: readonly Rule[], verb: ApiVerb, target: unknown): boolean {
  const { group, resource, subresource, name } = target as Target;
  const wanted = subresource ? `${resource}/${subresource}` : resource;
  const has = (list: readonly string[], value: string) => list.includes("*") || list.includes(value);
  return rules.some(
    (rule) =>
      has(rule.verbs, verb === "apply" ? "patch" : verb) &&
      has(rule.apiGroups, group) &&
      has(rule.resources, wanted) &&
      (!rule.resourceNames?.length || rule.resourceNames.includes(name)),
  );
}

const orNone = (text: string): string | undefined => text || undefined;

export async function callApi(client: Client, verb: ApiVerb, args: unknown[], fieldManager: string): Promise<unknown> {
  const target = args[0] as Target;
  const resource = { group: target.group, version: target.version, resource: target.resource };
  const name = { namespace: orNone(target.namespace), name: target.name };
  const write = { subresource: orNone(target.subresource), fieldManager };
  const object = (): KubeObject => JSON.parse(String(args[1])) as KubeObject;
  try {
    switch (verb) {
      case "get":
        return await getText(client, resource, target);
      case "list": {
        const o = args[1] as Selection;
        const limit = o.limit > 0 ? Math.min(o.limit, LIST_MAX) : LIST_MAX;
        const list = await client.list(resource, {
          namespace: orNone(target.namespace),
          labelSelector: orNone(o.labelSelector),
          fieldSelector: orNone(o.fieldSelector),
          limit,
          continue: orNone(o.continue),
        });
        return JSON.stringify(list);
      }
      case "create":
        return JSON.stringify(
          await client.create(resource, withNamespace(object(), target), { ...write, name: orNone(target.name) }),
        );
      case "update":
        return JSON.stringify(await client.update(resource, withNamespace(object(), target), write));
      case "patch": {
        const patch = { type: args[1], body: JSON.parse(String(args[2])) } as Patch;
        return JSON.stringify(await client.patch(resource, name, patch, write));
      }
      case "apply": {
        const manager = String(args[2]) || fieldManager;
        const patch: Patch = { type: "apply", body: object(), fieldManager: manager, force: args[3] === true };
        return JSON.stringify(await client.patch(resource, name, patch, { ...write, fieldManager: manager }));
      }
      case "delete": {
        const options = String(args[1]);
        await client.delete(resource, name, options ? (JSON.parse(options) as DeleteOptions) : undefined);
        return undefined;
      }
    }
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    const details = error.status.details ? JSON.stringify(error.status.details) : "";
    throw hostFailure(error.reason, error.code, error.message, details);
  }
}

const withNamespace = (object: KubeObject, target: Target): KubeObject => ({
  ...object,
  metadata: {
    ...object.metadata,
    ...(target.namespace ? { namespace: target.namespace } : {}),
    ...(target.name ? { name: target.name } : {}),
  },
});

async function getText(client: Client, r: GroupVersionResource, target: Target): Promise<string> {
  if (!target.subresource) {
    return JSON.stringify(await client.get(r, { namespace: orNone(target.namespace), name: target.name }));
  }
  const root = r.group === "" ? `/api/${r.version}` : `/apis/${r.group}/${r.version}`;
  const scope = target.namespace ? `/namespaces/${encodeURIComponent(target.namespace)}` : "";
  const path = `${root}${scope}/${r.resource}/${encodeURIComponent(target.name)}/${target.subresource}`;
  const answer = await client.raw("GET", path);
  if (answer.code < 300) return answer.body;
  throw StatusError.from(JSON.parse(answer.body) as JsonObject as never);
}
