import type { Pod } from "#sdk/api/generated/types.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { deny } from "#sdk/plugin/failure.ts";

const HOSTNAME = "kubernetes.io/hostname";

/** Upstream: plugin/pkg/admission/antiaffinity. */
export const admission = defineAdmission({
  validate(review) {
    const { spec } = JSON.parse(review.object) as Pod;
    const terms = spec?.affinity?.podAntiAffinity?.requiredDuringSchedulingIgnoredDuringExecution ?? [];
    const other = terms.find(({ topologyKey }) => topologyKey !== HOSTNAME);
    if (other)
      throw deny(
        `affinity.PodAntiAffinity.RequiredDuringScheduling has TopologyKey ${other.topologyKey} but only key ${HOSTNAME} is allowed`,
      );
    return [];
  },
});
