import type { Pod, RuntimeClass } from "#sdk/api/generated/types.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { deny } from "#sdk/plugin/failure.ts";
import { patchFor, Rejected } from "./classes.ts";

export const admission = defineAdmission({
  mutate(review) {
    const { runtimeclasses } = JSON.parse(review.context) as { runtimeclasses: RuntimeClass[] };
    try {
      const patch = patchFor(JSON.parse(review.object) as Pod, runtimeclasses);
      return { patch: patch.length > 0 ? JSON.stringify(patch) : "", warnings: [] };
    } catch (error) {
      throw error instanceof Rejected ? deny(error.message) : error;
    }
  },
});
