import { deepEqual, equal, match, ok } from "node:assert/strict";
import { describe, test } from "node:test";
import type {
  HorizontalPodAutoscaler,
  HorizontalPodAutoscalerSpec,
  MetricSpec,
  Pod,
} from "#sdk/api/generated/types.ts";
import type { History } from "./history.ts";
import type { MetricsSource, PodMetrics } from "./metrics.ts";
import { durationMs } from "./metrics.ts";
import { type Input, look } from "./reconcile.ts";
import type { Scale } from "./scale.ts";

const NOW = Date.parse("2026-01-02T00:00:00Z");
const HOUR_AGO = "2026-01-01T23:00:00Z";

const cpu = (averageUtilization: number): MetricSpec => ({
  type: "Resource",
  resource: { name: "cpu", target: { type: "Utilization", averageUtilization } },
});
const autoscaler = (spec: Partial<HorizontalPodAutoscalerSpec>): HorizontalPodAutoscaler => ({
  metadata: { name: "web", namespace: "default" },
  spec: {
    scaleTargetRef: { apiVersion: "apps/v1", kind: "Deployment", name: "web" },
    minReplicas: 1,
    maxReplicas: 10,
    metrics: [cpu(50)],
    ...spec,
  },
});

/** Ready for an hour and asking for one core, unless told otherwise. */
const pod = (name: string, status: Pod["status"] = {}): Pod => ({
  metadata: { name, namespace: "default", labels: { app: "web" } },
  spec: {
    containers: [{ name: "c", resources: { requests: { cpu: "1" } } }],
    initContainers: [{ name: "s", restartPolicy: "Always", resources: { requests: { cpu: "0" } } }],
  },
  status: {
    phase: "Running",
    startTime: HOUR_AGO,
    conditions: [{ type: "Ready", status: "True", lastTransitionTime: HOUR_AGO }],
    ...status,
  },
});
const pods = (count: number) => Array.from({ length: count }, (_, i) => pod(`p${i}`));
const usage = (...millis: number[]): PodMetrics =>
  new Map(millis.map((value, i) => [`p${i}`, { at: NOW, windowMs: 30_000, value }]));

const silent = async (): Promise<never> => {
  throw new Error("no answer");
};
const noMetrics: MetricsSource = { resource: silent, pods: silent, object: silent, external: silent };

interface Case {
  spec?: Partial<HorizontalPodAutoscalerSpec>;
  current: number;
  pods?: Pod[];
  metrics?: Partial<MetricsSource>;
  history?: History;
  rivals?: string[];
  scale?: Partial<Scale>;
}

async function run(given: Case) {
  const sets: number[] = [];
  const scale: Scale = {
    specReplicas: given.current,
    statusReplicas: given.current,
    selector: "app=web",
    resourceVersion: "1",
    ...given.scale,
  };
  const input: Input = {
    autoscaler: autoscaler(given.spec ?? {}),
    scales: {
      resourceFor: async () => ({ group: "apps", version: "v1", resource: "deployments" }),
      get: async () => scale,
      set: async (_, __, ___, replicas) => void sets.push(replicas),
    },
    metrics: { ...noMetrics, ...given.metrics },
    podsInNamespace: () => given.pods ?? pods(given.current),
    rivals: () => given.rivals ?? [],
    history: given.history,
    now: NOW,
  };
  const outcome = await look(input);
  const condition = (type: string) => {
    const found = outcome.status.conditions?.find((c) => c.type === type);
    return found && `${found.status} ${found.reason}`;
  };
  return { ...outcome, set: sets[0], condition };
}
const cpuOf = (metrics: PodMetrics) => ({ resource: async () => metrics });

describe("the size that metrics ask for", () => {
  const starting = {
    startTime: "2026-01-01T23:59:00Z",
    conditions: [{ type: "Ready", status: "False", lastTransitionTime: "2026-01-01T23:59:00Z" }],
  };
  const cases: [name: string, given: Case, expected: number | undefined][] = [
    ["grows with the use of what is requested", { current: 2, metrics: cpuOf(usage(1000, 800)) }, 4],
    ["stays within a tenth of the target", { current: 2, metrics: cpuOf(usage(540, 540)) }, undefined],
    [
      "stays where a wider tolerance is asked for",
      {
        current: 2,
        metrics: cpuOf(usage(740, 740)),
        spec: { behavior: { scaleUp: { tolerance: "0.5", policies: [], selectPolicy: "Max" } } },
      },
      undefined,
    ],
    [
      "counts pods without metrics as idle before growing",
      { current: 3, metrics: cpuOf(usage(1000, 1000)), pods: pods(3) },
      4,
    ],
    [
      "counts pods that start as idle before growing",
      { current: 3, metrics: cpuOf(usage(1000, 1000, 1000)), pods: [...pods(2), pod("p2", starting)] },
      4,
    ],
    [
      "does not count failed and terminating pods",
      { current: 2, metrics: cpuOf(usage(1000, 1000)), pods: [pod("p0"), pod("p1", { phase: "Failed" })] },
      undefined,
    ],
    [
      "takes the largest of many metrics",
      {
        current: 2,
        spec: {
          metrics: [
            cpu(50),
            { type: "External", external: { metric: { name: "q" }, target: { type: "Value", value: "10" } } },
          ],
        },
        metrics: { ...cpuOf(usage(500, 500)), external: async () => [20_000, 10_000] },
      },
      4,
    ],
    [
      "follows an external metric per pod",
      {
        current: 2,
        spec: {
          metrics: [
            {
              type: "External",
              external: { metric: { name: "q" }, target: { type: "AverageValue", averageValue: "10" } },
            },
          ],
        },
        metrics: { external: async () => [35_000] },
      },
      4,
    ],
    [
      "follows a pods metric",
      {
        current: 2,
        spec: {
          metrics: [
            { type: "Pods", pods: { metric: { name: "rps" }, target: { type: "AverageValue", averageValue: "10" } } },
          ],
        },
        metrics: { pods: async () => usage(20_000, 10_000) },
      },
      3,
    ],
    [
      "follows an object's metric",
      {
        current: 2,
        spec: {
          metrics: [
            {
              type: "Object",
              object: {
                metric: { name: "rps" },
                describedObject: { kind: "Ingress", apiVersion: "networking.k8s.io/v1", name: "i" },
                target: { type: "Value", value: "10" },
              },
            },
          ],
        },
        metrics: { object: async () => 20_000 },
      },
      4,
    ],
    [
      "follows an amount a pod of one container",
      {
        current: 2,
        spec: {
          metrics: [
            {
              type: "ContainerResource",
              containerResource: {
                name: "memory",
                container: "c",
                target: { type: "AverageValue", averageValue: "1Gi" },
              },
            },
          ],
        },
        metrics: {
          resource: async (_, __, ___, container) =>
            container === "c" ? usage(2 ** 31 * 1000, 2 ** 31 * 1000) : usage(0, 0),
        },
      },
      4,
    ],
    ["is at most the maximum", { current: 8, metrics: cpuOf(usage(...Array<number>(8).fill(1000))) }, 10],
    ["at most doubles", { current: 3, metrics: cpuOf(usage(3000, 3000, 3000)) }, 6],
    ["goes to the maximum at once from above it", { current: 20 }, 10],
    ["goes to the minimum at once from below it", { current: 2, spec: { minReplicas: 4 } }, 4],
    ["is left alone at zero", { current: 0 }, undefined],
  ];
  for (const [name, given, expected] of cases) {
    test(name, async () => equal((await run(given)).set, expected));
  }
});

describe("shrinking and rates", () => {
  const idle = cpuOf(usage(...Array<number>(8).fill(100)));
  test("waits until no recommendation of the last five minutes was higher", async () => {
    const fresh = await run({ current: 8, metrics: idle });
    equal(fresh.set, undefined);
    equal(fresh.condition("AbleToScale"), "True ScaleDownStabilized");
    const history = { recommendations: [{ replicas: 8, at: NOW - 301_000 }], ups: [], downs: [] };
    equal((await run({ current: 8, metrics: idle, history })).set, 2);
  });

  test("follows the policies of its rules, by what was changed in their periods", async () => {
    const rules = (selectPolicy: string) => ({
      behavior: {
        scaleDown: {
          stabilizationWindowSeconds: 0,
          selectPolicy,
          policies: [
            { type: "Pods", value: 3, periodSeconds: 60 },
            { type: "Percent", value: 10, periodSeconds: 60 },
          ],
        },
      },
    });
    const history = (): History => ({ recommendations: [], ups: [], downs: [{ change: 1, at: NOW - 30_000 }] });
    equal((await run({ current: 8, metrics: idle, spec: rules("Max"), history: history() })).set, 6);
    const least = await run({ current: 8, metrics: idle, spec: rules("Min"), history: history() });
    equal(least.set, undefined);
    equal(least.condition("ScalingLimited"), "True ScaleDownLimit");
    equal((await run({ current: 8, metrics: idle, spec: rules("Disabled"), history: history() })).set, undefined);
  });
});

describe("what is said", () => {
  test("a change is an event and three conditions, and what was measured is shown", async () => {
    const { status, events, condition } = await run({ current: 2, metrics: cpuOf(usage(1000, 800)) });
    equal(condition("AbleToScale"), "True SucceededRescale");
    equal(condition("ScalingActive"), "True ValidMetricFound");
    equal(condition("ScalingLimited"), "False DesiredWithinRange");
    deepEqual(status.currentMetrics, [
      { type: "Resource", resource: { name: "cpu", current: { averageUtilization: 90, averageValue: "900m" } } },
    ]);
    equal(status.currentReplicas, 2);
    equal(status.desiredReplicas, 4);
    deepEqual(
      events.map((e) => e.message),
      ["New size: 4; reason: cpu resource utilization (percentage of request) above target"],
    );
  });

  test("without any metric nothing is done, and the first failure is told", async () => {
    const { set, events, condition, error } = await run({ current: 2 });
    equal(set, undefined);
    equal(condition("ScalingActive"), "False FailedGetResourceMetric");
    deepEqual(
      events.map((e) => `${e.reason}: ${e.message}`),
      [
        "FailedGetResourceMetric: failed to get cpu utilization: unable to get metrics for resource cpu: no answer",
        "FailedComputeMetricsReplicas: invalid metrics (1 invalid out of 1), first error is: failed to get cpu resource metric value: failed to get cpu utilization: unable to get metrics for resource cpu: no answer",
      ],
    );
    ok(error);
  });

  test("a silent metric prevents shrinking and not growing", async () => {
    const metrics = [
      cpu(50),
      { type: "Pods", pods: { metric: { name: "rps" }, target: { type: "AverageValue", averageValue: "1" } } },
    ];
    const history = (): History => ({ recommendations: [], ups: [], downs: [] });
    equal(
      (await run({ current: 2, spec: { metrics }, metrics: cpuOf(usage(100, 100)), history: history() })).set,
      undefined,
    );
    equal((await run({ current: 2, spec: { metrics }, metrics: cpuOf(usage(1000, 1000)), history: history() })).set, 4);
  });

  test("pods that ask for nothing, a target without selector, and two autoscalers for the same pods are refused", async () => {
    const asking = { ...pod("p0"), spec: { containers: [{ name: "c" }] } };
    const nothing = await run({ current: 1, pods: [asking], metrics: cpuOf(usage(100)) });
    match(nothing.events[0]?.message ?? "", /missing request for cpu in container c of Pod p0$/);
    equal((await run({ current: 1, scale: { selector: "" } })).condition("ScalingActive"), "False InvalidSelector");
    equal((await run({ current: 1, rivals: ["default/b"] })).condition("ScalingActive"), "False AmbiguousSelector");
  });
});

test("durations of metrics are Go's", () => {
  deepEqual(["30s", "1m30.5s", "2h", "10.062s", ""].map(durationMs), [30_000, 90_500, 7_200_000, 10_062, 0]);
});
