/** RuntimeClasses. */
import type { RuntimeClass } from "#sdk/api/generated/types.ts";
import { validateLabels } from "#sdk/api/labels.ts";
import { isDNS1123Label } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, duplicate, required } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import { type GoField, goValue } from "../../registry/go-names.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { each, immutable } from "../checks.ts";
import { validateOverhead } from "../core/pods/resources.ts";
import { validateTolerations } from "../core/pods/validation.ts";

const TOLERATION: readonly GoField[] = [
  { go: "Key", json: "key", zero: "" },
  { go: "Operator", json: "operator", zero: "" },
  { go: "Value", json: "value", zero: "" },
  { go: "Effect", json: "effect", zero: "" },
  { go: "TolerationSeconds", json: "tolerationSeconds" },
];

function validate({ handler, overhead, scheduling }: RuntimeClass): Causes {
  const causes = handler ? each(isDNS1123Label(handler), "handler", handler) : [required("handler")];
  causes.push(...validateOverhead(overhead?.podFixed, "overhead"));
  causes.push(...validateLabels(scheduling?.nodeSelector, "scheduling.nodeSelector"));
  const tolerations = scheduling?.tolerations ?? [];
  causes.push(...validateTolerations(tolerations, "scheduling.tolerations"));
  const keys = tolerations.map((t) => JSON.stringify([t.key, t.operator, t.value, t.effect]));
  for (const [i, key] of keys.entries())
    if (keys.indexOf(key) !== i)
      causes.push(duplicate(`scheduling.tolerations[${i}]`, goValue(tolerations[i], TOLERATION)));
  return causes;
}

export const runtimeClassStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    allowCreateOnUpdate: true,
    allowUnconditionalUpdate: false,
    applyDefaults(object) {
      for (const t of as<RuntimeClass>(object).scheduling?.tolerations ?? []) if (t.operator === "") delete t.operator;
    },
    validate: (object) => validate(as<RuntimeClass>(object)),
    validateUpdate: (next, old) => [
      ...validate(as<RuntimeClass>(next)),
      ...immutable("handler", as<RuntimeClass>(next).handler ?? "", as<RuntimeClass>(old).handler),
    ],
  });
