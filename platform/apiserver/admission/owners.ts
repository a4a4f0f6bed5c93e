/**
 * OwnerReferencesPermissionEnforcement, off by default as in upstream: only who may delete an object says whose it is, and only who may write the
 * owner's finalizers lets it block the owner's deletion.
 */
import type { OwnerReference } from "#sdk/api/generated/types.ts";
import { forbidden } from "#sdk/api/status.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import type { AdmissionAttributes } from "../registry/admission.ts";
import type { Catalog } from "../registry/catalog.ts";
import { same } from "../resources/checks.ts";
import type { AdmissionRule } from "./chain.ts";

const ownersOf = (object: AdmissionAttributes["object"]): readonly OwnerReference[] =>
  (object?.metadata.ownerReferences ?? []) as readonly OwnerReference[];

/** References that block their owner's deletion, and did not before. */
function newlyBlocking({ object, oldObject }: AdmissionAttributes): OwnerReference[] {
  const before = new Map(ownersOf(oldObject).map((owner) => [owner.uid, owner]));
  return ownersOf(object).filter((owner) => owner.blockOwnerDeletion && !before.get(owner.uid)?.blockOwnerDeletion);
}

type Wanted = Parameters<Authorizer["authorize"]>[0]["resource"];

export function ownerReferences(authorizer: Authorizer, catalog: () => Catalog): AdmissionRule {
  /** Undefined: allowed; else why not. */
  async function refused(a: AdmissionAttributes, verb: string, resource: Wanted): Promise<string | undefined> {
    const { user, tenant } = a;
    const { decision, reason } = await authorizer.authorize({ user, tenant, verb, ...(resource ? { resource } : {}) });
    return decision === "allow" ? undefined : `${reason}, <nil>`;
  }

  return {
    async validate(a) {
      const { operation, resource, subresource, object, oldObject, namespace, name } = a;
      if (operation !== "CREATE" && operation !== "UPDATE") return;
      if (resource.group === "" && resource.resource === "pods" && subresource === "status") return;
      if (!object || same(ownersOf(object), ownersOf(oldObject))) return;
      const refuse = (why: string) => forbidden(resource, name || (object.metadata.name ?? ""), why);
      if (operation === "UPDATE") {
        const why = await refused(a, "delete", { ...resource, subresource, namespace, name });
        if (why !== undefined) throw refuse(`cannot set an ownerRef on a resource you can't delete: ${why}`);
      }
      const blocking = newlyBlocking(a);
      if (blocking.length === 0) return;
      const all = { group: "*", version: "*", resource: "*", subresource: "finalizers", namespace: "", name: "*" };
      if ((await refused(a, "update", all)) === undefined) return;
      for (const { apiVersion = "", kind = "", name: owner = "" } of blocking) {
        const [group, version] = apiVersion.includes("/") ? apiVersion.split("/", 2) : ["", apiVersion];
        const { entries, own } = catalog();
        const facts = [...entries, ...(own?.all(a.tenant) ?? [])]
          .map((entry) => entry.facts)
          .find((f) => f.group === group && f.version === version && f.kind === kind);
        if (!facts)
          throw refuse(
            `cannot set blockOwnerDeletion in this case because cannot find RESTMapping for APIVersion ${apiVersion} Kind ${kind}: no matches for kind ${JSON.stringify(kind)} in version ${JSON.stringify(apiVersion)}`,
          );
        const why = await refused(a, "update", {
          group: facts.group,
          version: facts.version,
          resource: facts.resource,
          subresource: "finalizers",
          namespace: facts.namespaced ? namespace : "",
          name: owner,
        });
        if (why !== undefined)
          throw refuse(
            `cannot set blockOwnerDeletion if an ownerReference refers to a resource you can't set finalizers on: ${why}`,
          );
      }
    },
  };
}
