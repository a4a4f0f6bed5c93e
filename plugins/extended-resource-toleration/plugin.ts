import type { Pod } from "#sdk/api/generated/types.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { tolerationsFor } from "./tolerations.ts";

export const admission = defineAdmission({
  mutate(review) {
    const { spec } = JSON.parse(review.object) as Pod;
    const value = spec && tolerationsFor(spec);
    return { patch: value ? JSON.stringify([{ op: "add", path: "/spec/tolerations", value }]) : "", warnings: [] };
  },
});
