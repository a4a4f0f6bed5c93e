/** The older way to bind: a create of a Binding that names its pod. */
import type { Binding } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { bind } from "../pods/binding.ts";

export const bindingsStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    ask: {
      code: 201,
      handle(request) {
        const binding = as<Binding>(request.body ?? { metadata: {} });
        return bind(request, binding.metadata.name ?? "", binding);
      },
    },
  });
