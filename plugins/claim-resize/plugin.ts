import type { PersistentVolumeClaim, StorageClass } from "#sdk/api/generated/types.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { deny } from "#sdk/plugin/failure.ts";
import { refusal } from "./resize.ts";

export const admission = defineAdmission({
  validate(review) {
    const { storageclasses } = JSON.parse(review.context) as { storageclasses: StorageClass[] };
    const claim = (document: string) => JSON.parse(document) as PersistentVolumeClaim;
    const why = refusal(claim(review.object), claim(review.oldObject), storageclasses[0]);
    if (why !== undefined) throw deny(why);
    return [];
  },
});
