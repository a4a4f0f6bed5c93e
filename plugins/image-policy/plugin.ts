import { readConfig } from "#sdk/plugin/config.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { failure } from "#sdk/plugin/failure.ts";
import { type ImagePod, type ImagePolicy, violations } from "./images.ts";

export const admission = defineAdmission({
  validate({ object }) {
    const policy = readConfig<ImagePolicy>();
    const found = object === "" ? [] : violations(policy, JSON.parse(object) as ImagePod);
    if (policy.mode === "warn") return found;
    if (found.length > 0) throw failure("Forbidden", found.join("; "), 403);
    return [];
  },
});
