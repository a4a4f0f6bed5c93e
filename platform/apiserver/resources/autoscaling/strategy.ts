/** HorizontalPodAutoscalers in both their versions; v2 is stored. */
import type { HorizontalPodAutoscaler, HPAScalingRules } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import type { Causes } from "../../registry/causes.ts";
import { genericStrategy, statusView } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { nonNegative } from "../checks.ts";
import { validateAutoscaler } from "./metrics.ts";
import { CPU_UTILIZATION_FALLBACK, hasMetricsAnnotation, toV1, toV2 } from "./v1.ts";

const PERCENT = { type: "Percent", value: 100, periodSeconds: 15 };
const SCALE_UP: HPAScalingRules = {
  stabilizationWindowSeconds: 0,
  selectPolicy: "Max",
  policies: [{ type: "Pods", value: 4, periodSeconds: 15 }, PERCENT],
};
const SCALE_DOWN: HPAScalingRules = { selectPolicy: "Max", policies: [PERCENT] };

function defaultV2(autoscaler: HorizontalPodAutoscaler): void {
  autoscaler.spec ??= {} as NonNullable<HorizontalPodAutoscaler["spec"]>;
  const { spec } = autoscaler;
  spec.minReplicas ??= 1;
  if (!spec.metrics?.length)
    spec.metrics = [
      {
        type: "Resource",
        resource: { name: "cpu", target: { type: "Utilization", averageUtilization: CPU_UTILIZATION_FALLBACK } },
      },
    ];
  if (!spec.behavior) return;
  spec.behavior.scaleUp = { ...structuredClone(SCALE_UP), ...spec.behavior.scaleUp };
  spec.behavior.scaleDown = { ...structuredClone(SCALE_DOWN), ...spec.behavior.scaleDown };
}

function defaultV1(object: DynamicObject): void {
  const autoscaler = as<{
    spec?: { minReplicas?: number; targetCPUUtilizationPercentage?: number };
  }>(object);
  autoscaler.spec ??= {};
  autoscaler.spec.minReplicas ??= 1;
  if (!hasMetricsAnnotation(object)) autoscaler.spec.targetCPUUtilizationPercentage ??= CPU_UTILIZATION_FALLBACK;
}

function validateStatus(object: DynamicObject): Causes {
  const { status } = as<HorizontalPodAutoscaler>(object);
  return [
    ...nonNegative(status?.currentReplicas, "status.currentReplicas"),
    ...nonNegative(status?.desiredReplicas, "status.desiredReplicas"),
  ];
}

export function horizontalPodAutoscalerStrategy(facts: ResourceFacts): Strategy {
  const old = facts.version === "v1";
  const { group, resource } = facts;
  const stored = (object: DynamicObject) => as<HorizontalPodAutoscaler>(old ? toV2(object) : object);
  return genericStrategy(facts, {
    generation: false,
    ...(old ? { storage: { group, version: "v2", resource, toStorage: toV2, fromStorage: toV1 } } : {}),
    applyDefaults: (object) => (old ? defaultV1(object) : defaultV2(as<HorizontalPodAutoscaler>(object))),
    validate: (object) => validateAutoscaler(stored(object).spec ?? {}),
    views: { status: { ...statusView, validateUpdate: validateStatus } },
  });
}
