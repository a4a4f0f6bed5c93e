/** Leases. Node heartbeats may be lost with the last moment before a crash (S12); leases that elect leaders may not. */
import type { Lease } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";

const HEARTBEATS = "kube-node-lease";

function validate({ spec }: Lease): Causes {
  const causes: Causes = [];
  if (spec?.leaseDurationSeconds !== undefined && spec.leaseDurationSeconds <= 0) {
    causes.push(invalidValue("spec.leaseDurationSeconds", spec.leaseDurationSeconds, "must be greater than 0"));
  }
  if (spec?.leaseTransitions !== undefined && spec.leaseTransitions < 0) {
    causes.push(invalidValue("spec.leaseTransitions", spec.leaseTransitions, "must be greater than or equal to 0"));
  }
  return causes;
}

/** What belongs to coordinated leader election, which is off, stays away unless it is there from before. */
function dropDisabled({ spec }: Lease, old?: Lease): void {
  for (const field of ["strategy", "preferredHolder"] as const)
    if (old?.spec?.[field] === undefined) delete spec?.[field];
}

export const leaseStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    allowCreateOnUpdate: true,
    allowUnconditionalUpdate: false,
    prepareForCreate: (object) => dropDisabled(as<Lease>(object)),
    prepareForUpdate: (next, old) => dropDisabled(as<Lease>(next), as<Lease>(old)),
    validate: (object) => validate(as<Lease>(object)),
    effects: async ({ object }) => (object.metadata.namespace === HEARTBEATS ? { relaxed: true } : {}),
  });
