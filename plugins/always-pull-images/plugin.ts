import type { Pod } from "#sdk/api/generated/types.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { deny } from "#sdk/plugin/failure.ts";
import type { Review } from "#sdk/plugin/types.ts";
import { isConcerned, patchFor, violations } from "./images.ts";

/** Undefined: nothing that this rule is about. */
function podOf(review: Review): Pod | undefined {
  const pod = JSON.parse(review.object) as Pod;
  return isConcerned(pod, review.oldObject === "" ? undefined : (JSON.parse(review.oldObject) as Pod))
    ? pod
    : undefined;
}

export const admission = defineAdmission({
  mutate(review) {
    const pod = podOf(review);
    const patch = pod ? patchFor(pod) : [];
    return { patch: patch.length > 0 ? JSON.stringify(patch) : "", warnings: [] };
  },
  validate(review) {
    const pod = podOf(review);
    const wrong = pod ? violations(pod) : [];
    if (wrong.length > 0) throw deny(wrong.join(", "));
    return [];
  },
});
