import type { Service } from "#sdk/api/generated/types.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { deny } from "#sdk/plugin/failure.ts";

const addressesOf = (document: string): string[] =>
  document === "" ? [] : ((JSON.parse(document) as Service).spec?.externalIPs ?? []);

/** Upstream: plugin/pkg/admission/network/denyserviceexternalips. */
export const admission = defineAdmission({
  validate(review) {
    const before = addressesOf(review.oldObject);
    if (addressesOf(review.object).some((address) => !before.includes(address)))
      throw deny("Use of external IPs is denied by admission control");
    return [];
  },
});
