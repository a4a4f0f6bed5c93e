/** ControllerRevisions: immutable snapshots of what a controller rolled out. */
import type { ControllerRevision } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, required } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { immutable, nonNegative } from "../checks.ts";

const validateRevision = ({ revision }: ControllerRevision): Causes => nonNegative(revision ?? 0, "revision");

function validate(object: ControllerRevision): Causes {
  const { data } = object;
  return [
    ...(data === undefined || data === null ? [required("data", "data is mandatory")] : []),
    ...(data !== null && data !== undefined && (typeof data !== "object" || Array.isArray(data))
      ? [required("data", "data must be a valid JSON object")]
      : []),
    ...validateRevision(object),
  ];
}

export const controllerRevisionStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    validate: (object) => validate(as<ControllerRevision>(object)),
    validateUpdate: (next, old) => [
      ...immutable("data", as<ControllerRevision>(next).data, as<ControllerRevision>(old).data),
      ...validateRevision(as<ControllerRevision>(next)),
    ],
  });
