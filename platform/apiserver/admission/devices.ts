/**
 * Admin access to devices (KEP-5018): a claim that reaches devices in use by others may only be made where the namespace is marked for it, and only
 * there be answered with such devices.
 */
import type { Store } from "#platform/store/port.ts";
import type { ResourceClaim, ResourceClaimSpec, ResourceClaimTemplate } from "#sdk/api/generated/types.ts";
import { invalid } from "#sdk/api/status.ts";
import type { AdmissionAttributes } from "../registry/admission.ts";
import { forbiddenField } from "../registry/causes.ts";
import type { AdmissionRule } from "./chain.ts";
import { readNamespace } from "./match.ts";

const LABEL = "resource.kubernetes.io/admin-access";
const WHY = `admin access to devices requires the \`${LABEL}: true\` label on the containing namespace`;

type Seen = { spec?: ResourceClaimSpec } & Pick<ResourceClaim, "status">;

const hasAdmin = (result: { adminAccess?: boolean }): boolean => result.adminAccess === true;

/** Where admin access is asked for that was not there before. */
function asked({ resource, object, oldObject, subresource, operation }: AdmissionAttributes): string | undefined {
  if (!object || (operation !== "CREATE" && operation !== "UPDATE")) return undefined;
  const of = (one: unknown): Seen =>
    resource.resource === "resourceclaimtemplates"
      ? ((one as ResourceClaimTemplate).spec as unknown as Seen)
      : (one as Seen);
  if (subresource === "status") {
    const results = (one: unknown) => (one as Seen | undefined)?.status?.allocation?.devices?.results ?? [];
    if (results(oldObject).some(hasAdmin)) return undefined;
    const at = results(object).findIndex(hasAdmin);
    return at < 0 ? undefined : `status.allocation.devices.results[${at}].adminAccess`;
  }
  if (operation === "UPDATE") return undefined;
  const at = (of(object).spec?.devices?.requests ?? []).findIndex(({ exactly }) => exactly && hasAdmin(exactly));
  return at < 0 ? undefined : `spec.devices.requests[${at}].adminAccess`;
}

export const deviceAdminAccess = (store: Store): AdmissionRule => ({
  async validate(a) {
    const { resource, kind, name, object } = a;
    if (resource.group !== "resource.k8s.io") return;
    if (resource.resource !== "resourceclaims" && resource.resource !== "resourceclaimtemplates") return;
    const field = asked(a);
    if (field === undefined) return;
    const namespace = await readNamespace(store, a);
    if (namespace?.metadata.labels?.[LABEL] === "true") return;
    throw invalid(kind, name || (object?.metadata.name ?? ""), [forbiddenField(field, WHY)]);
  },
});
