/**
 * Who may write what of Plugin objects: a spec that can be read; approving what one asks for needs the verb `approve` on plugins.capstan.dev,
 * besides the right to write; and a tenant's own plugins get nothing that is root's.
 */
import type { AdmissionRule } from "#platform/apiserver/admission/chain.ts";
import type { Authorizer } from "#platform/apiserver/authz/authorizer.ts";
import type { AdmissionAttributes } from "#platform/apiserver/registry/admission.ts";
import { ROOT_TENANT } from "#platform/store/port.ts";
import { forbidden, invalid } from "#sdk/api/status.ts";
import { capabilitiesDigest, tenantError } from "#sdk/plugin/approval.ts";
import { PLUGINS, type Plugin, pluginSpecSchema } from "#sdk/plugin/manifest.ts";

const specOf = (object: AdmissionAttributes["object"]) => (object as unknown as Plugin | undefined)?.spec;

export function pluginRules(authorizer: Authorizer): AdmissionRule {
  async function mayApprove({ user, tenant }: AdmissionAttributes, name: string): Promise<boolean> {
    const resource = { ...PLUGINS, subresource: "", namespace: "", name };
    return (await authorizer.authorize({ user, tenant, verb: "approve", resource })).decision === "allow";
  }

  return {
    async validate(a) {
      const { resource, subresource, operation, object, oldObject } = a;
      if (resource.group !== PLUGINS.group || resource.resource !== PLUGINS.resource || subresource !== "") return;
      if (!object || (operation !== "CREATE" && operation !== "UPDATE")) return;
      const name = a.name || (object.metadata.name ?? "");
      const parsed = pluginSpecSchema.safeParse(specOf(object));
      if (!parsed.success) {
        const causes = parsed.error.issues.map(({ path, message }) => ({
          reason: "FieldValueInvalid",
          message,
          field: ["spec", ...path].join("."),
        }));
        // One that was stored by an older version can still be turned off.
        if (operation === "CREATE" || pluginSpecSchema.safeParse(specOf(oldObject)).success)
          throw invalid({ group: PLUGINS.group, kind: "Plugin" }, name, causes);
        return;
      }
      const wrong = a.tenant === ROOT_TENANT ? undefined : tenantError(parsed.data);
      if (wrong) throw forbidden(resource, name, wrong);
      const before = new Set(specOf(oldObject)?.approved ?? []);
      // The digest of nothing is nobody's to approve.
      const added = parsed.data.approved.filter((digest) => !before.has(digest) && digest !== capabilitiesDigest([]));
      if (added.length > 0 && !(await mayApprove(a, name)))
        throw forbidden(
          resource,
          name,
          "approving what a plugin asks for needs the verb approve on plugins.capstan.dev",
        );
    },
  };
}
