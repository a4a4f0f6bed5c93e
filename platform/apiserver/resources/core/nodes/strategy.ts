/** Nodes. What a node can take is the limit of its ledger, moved with its status. */
import { ROOT_TENANT } from "#platform/store/port.ts";
import type { Node, NodeSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as, sorted } from "../../as.ts";
import { ledgerLimits } from "../pods/quantities.ts";
import { validateNode, validateNodeUpdate } from "./validation.ts";

export const nodeLedger = (name: string): string => `node/${name}`;

/** The first of a node's ranges has a field of its own, which counts where the two differ. */
function completeRanges(spec: NodeSpec): void {
  const { podCIDR: first, podCIDRs: all } = spec;
  if (first && first !== all?.[0]) spec.podCIDRs = [first];
  else if (all?.[0]) spec.podCIDR = all[0];
}

/** Configuration from ConfigMaps is a feature that is gone. */
function dropConfig({ spec, status }: Node, old?: Node): void {
  if (!old?.spec?.configSource) delete spec?.configSource;
  if (!old) delete status?.config;
}

export const nodeStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: false,
    // A kubelet registers its node with what it can take.
    createsWithStatus: true,
    applyDefaults(object) {
      const { status, spec } = as<Node>(object);
      if (spec) completeRanges(spec);
      if (status?.capacity && !status.allocatable) status.allocatable = { ...status.capacity };
    },
    validate: (object) => validateNode(as<Node>(object)),
    validateUpdate: (next, old) => [
      ...validateNodeUpdate(as<Node>(next), as<Node>(old)),
      ...validateNode(as<Node>(next)),
    ],
    prepareForCreate: (object) => dropConfig(as<Node>(object)),
    prepareForUpdate(next, old) {
      next.status = structuredClone(old.status);
      dropConfig(as<Node>(next), as<Node>(old));
    },
    fieldNames: ["spec.unschedulable"],
    fields: (object) => ({ "spec.unschedulable": String(as<Node>(object).spec?.unschedulable ?? false) }),
    async effects({ operation, object, old }) {
      const { name = "" } = object.metadata;
      const change = { tenant: ROOT_TENANT, ledger: nodeLedger(name), delta: {}, enforce: false };
      // Pods that still name a node that is gone give back to a ledger nobody limits.
      if (operation === "delete") return {};
      const limits = ledgerLimits(as<Node>(object).status?.allocatable as Record<string, string> | undefined);
      const before = old && ledgerLimits(as<Node>(old).status?.allocatable as Record<string, string> | undefined);
      if (before && JSON.stringify(sorted(before)) === JSON.stringify(sorted(limits))) return {};
      return { ledgers: [{ ...change, limits }] };
    },
  });
