import type { PersistentVolumeClaim, StorageClass } from "#sdk/api/generated/types.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { classFor } from "./classes.ts";

export const admission = defineAdmission({
  mutate(review) {
    const { storageclasses } = JSON.parse(review.context) as { storageclasses: StorageClass[] };
    const found = classFor(JSON.parse(review.object) as PersistentVolumeClaim, storageclasses);
    const patch = found === undefined ? [] : [{ op: "add", path: "/spec/storageClassName", value: found }];
    return { patch: patch.length > 0 ? JSON.stringify(patch) : "", warnings: [] };
  },
});
