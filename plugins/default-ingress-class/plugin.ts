import type { Ingress, IngressClass } from "#sdk/api/generated/types.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { classFor } from "./classes.ts";

export const admission = defineAdmission({
  mutate(review) {
    const { ingressclasses } = JSON.parse(review.context) as { ingressclasses: IngressClass[] };
    const found = classFor(JSON.parse(review.object) as Ingress, ingressclasses);
    const patch = found === undefined ? [] : [{ op: "add", path: "/spec/ingressClassName", value: found }];
    return { patch: patch.length > 0 ? JSON.stringify(patch) : "", warnings: [] };
  },
});
