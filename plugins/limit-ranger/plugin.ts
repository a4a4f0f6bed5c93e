import type { LimitRange, PersistentVolumeClaim, Pod } from "#sdk/api/generated/types.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { deny } from "#sdk/plugin/failure.ts";
import type { Review } from "#sdk/plugin/types.ts";
import { defaultsPatch } from "./defaults.ts";
import { aggregate, claimViolations, podViolations } from "./limits.ts";

/** The namespace's ranges, by name, so that what two of them set is the same every time. */
function rangesOf(review: Review): LimitRange[] {
  const { limitranges } = JSON.parse(review.context) as { limitranges: LimitRange[] };
  return limitranges.sort((a, b) => ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1));
}

/** What is being deleted is let go. */
const isEnding = (review: Review): boolean =>
  review.oldObject !== "" && (JSON.parse(review.oldObject) as Pod).metadata?.deletionTimestamp !== undefined;

export const admission = defineAdmission({
  mutate(review) {
    if (review.resource !== "pods" || isEnding(review)) return { patch: "", warnings: [] };
    const patch = defaultsPatch(JSON.parse(review.object) as Pod, rangesOf(review));
    return { patch: patch.length > 0 ? JSON.stringify(patch) : "", warnings: [] };
  },
  validate(review) {
    if (isEnding(review)) return [];
    const object: unknown = JSON.parse(review.object);
    for (const range of rangesOf(review)) {
      const wrong =
        review.resource === "pods"
          ? podViolations(object as Pod, range)
          : claimViolations(object as PersistentVolumeClaim, range);
      if (wrong.length > 0) throw deny(aggregate(wrong));
    }
    return [];
  },
});
