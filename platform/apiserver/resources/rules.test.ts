import assert from "node:assert/strict";
import { test } from "node:test";
import { resources } from "#sdk/api/facts.ts";
import type { JobSpec, PodTemplateSpec } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { RequestContext, Strategy } from "../registry/strategy.ts";
import { defaultTemplate } from "./apps/workloads.ts";
import { horizontalPodAutoscalerStrategy } from "./autoscaling/strategy.ts";
import { toV1, toV2 } from "./autoscaling/v1.ts";
import { validateJobSpec } from "./batch/validation.ts";
import { flowSchemaStrategy, priorityLevelStrategy } from "./flowcontrol/strategies.ts";
import { serviceCIDRStrategy } from "./networking/addresses.ts";
import { ingressStrategy } from "./networking/ingresses.ts";
import { networkPolicyStrategy } from "./networking/policies.ts";
import { deviceClassStrategy } from "./resource/claims.ts";
import { volumeAttributesClassStrategy } from "./storage/classes.ts";
import { csiNodeStrategy } from "./storage/csi.ts";
import { volumeAttachmentStrategy } from "./storage/volumeattachments.ts";

const context = {} as RequestContext;

function strategyOf(make: (facts: ReturnType<typeof resources>[number]) => Strategy, resource: string): Strategy {
  const facts = resources().find((r) => r.resource === resource);
  assert.ok(facts);
  return make(facts);
}

/** A strategy, what is sent, and the fields that are refused. */
const CREATIONS: [Parameters<typeof strategyOf>[0], string, Record<string, unknown>, string[]][] = [
  [serviceCIDRStrategy, "servicecidrs", { spec: { cidrs: [] } }, ["spec.cidrs"]],
  [serviceCIDRStrategy, "servicecidrs", { spec: { cidrs: ["10.0.0.0/24", "fd00::/64"] } }, []],
  [ingressStrategy, "ingresses", {}, ["spec"]],
  [
    networkPolicyStrategy,
    "networkpolicies",
    { spec: { ingress: [{ from: [{ ipBlock: { cidr: "10.0.0.0/8", except: ["11.0.0.0/9"] } }] }] } },
    ["spec.ingress[0].from[0].ipBlock.except[0]"],
  ],
  [
    flowSchemaStrategy,
    "flowschemas",
    { spec: { rules: [{}] } },
    ["spec.priorityLevelConfiguration.name", "spec.rules[0].subjects", "spec.rules[0]"],
  ],
  [priorityLevelStrategy, "prioritylevelconfigurations", { spec: { type: "Limited" } }, ["spec.limited"]],
  [deviceClassStrategy, "deviceclasses", { spec: { selectors: [{}] } }, ["spec.selectors[0].cel"]],
  [volumeAttributesClassStrategy, "volumeattributesclasses", {}, ["driverName", "parameters"]],
  [csiNodeStrategy, "csinodes", { spec: { drivers: [{ name: "d" }] } }, ["spec.drivers[0].nodeID"]],
  [volumeAttachmentStrategy, "volumeattachments", {}, ["spec.attacher", "spec.source", "spec.nodeName"]],
  [
    horizontalPodAutoscalerStrategy,
    "horizontalpodautoscalers",
    { spec: { maxReplicas: 1, scaleTargetRef: { kind: "K", name: "n" } } },
    ["spec.scaleTargetRef.apiVersion"],
  ],
  [
    horizontalPodAutoscalerStrategy,
    "horizontalpodautoscalers",
    {
      spec: {
        maxReplicas: 1,
        scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "n" },
        behavior: { scaleDown: { policies: [] } },
      },
    },
    ["spec.behavior.scaleDown.policies"],
  ],
];

test("a kind's rules name the fields that upstream's name", () => {
  for (const [make, resource, sent, fields] of CREATIONS) {
    const strategy = strategyOf(make, resource);
    const object = { kind: "", apiVersion: "", metadata: { name: "x" }, ...structuredClone(sent) } as DynamicObject;
    strategy.applyDefaults?.(object);
    const causes = strategy.validate?.(object, context) ?? [];
    assert.deepEqual(
      causes.map((c) => c.field),
      fields,
      resource,
    );
  }
});

test("what is only for indexed jobs is refused for others", () => {
  const template: PodTemplateSpec = { spec: { containers: [{ name: "c", image: "x" }], restartPolicy: "Never" } };
  const spec: JobSpec = { template, backoffLimitPerIndex: 1, completionMode: "NonIndexed" };
  defaultTemplate(spec);
  assert.deepEqual(
    validateJobSpec(spec, "spec").map((c) => c.field),
    ["spec.backoffLimitPerIndex"],
  );
});

test("an autoscaler keeps its metrics on the way through autoscaling/v1", () => {
  const pods = { type: "Pods", pods: { metric: { name: "m" }, target: { type: "AverageValue", averageValue: "1" } } };
  const cpu = {
    type: "Resource",
    resource: { name: "cpu", target: { type: "Utilization", averageUtilization: 50 } },
  };
  const object = {
    kind: "HorizontalPodAutoscaler",
    apiVersion: "autoscaling/v2",
    metadata: { name: "a" },
    spec: { maxReplicas: 2, metrics: [cpu, pods] },
    status: {},
  } as unknown as DynamicObject;
  const old = toV1(object) as unknown as { spec: { targetCPUUtilizationPercentage: number } };
  assert.equal(old.spec.targetCPUUtilizationPercentage, 50);
  assert.deepEqual(toV2(old as unknown as DynamicObject), object);
});
