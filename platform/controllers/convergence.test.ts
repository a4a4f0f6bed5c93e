/** Workloads, services and accounts come to the same state under crashes, restarts, compaction and lost writes, in any order. */
import { test } from "node:test";
import type { Deployment, EndpointSlice, Job, Node, Pod, ReplicaSet } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import type { Client } from "#sdk/client/port.ts";
import { until } from "#sdk/testing/until.ts";
import { daemonSetController } from "./daemonset/controller.ts";
import { deploymentController } from "./deployment/controller.ts";
import { drainController } from "./drain/controller.ts";
import { endpointSliceController } from "./endpointslice/controller.ts";
import { jobController } from "./job/controller.ts";
import { isTerminating } from "./objects.ts";
import { replicaSetController } from "./replicaset/controller.ts";
import * as r from "./resources.ts";
import { rootCAController } from "./root-ca/controller.ts";
import { serviceAccountController } from "./serviceaccount/controller.ts";
import { statefulSetController } from "./statefulset/controller.ts";
import { converges } from "./testing/converge.ts";
import { ready } from "./testing/world.ts";

const podSpec = (image: string) => ({
  metadata: { labels: { app: "web" } },
  spec: { containers: [{ name: "c", image }] },
});
const object = (apiVersion: string, kind: string, name: string, spec: object): KubeObject =>
  ({ apiVersion, kind, metadata: { name, namespace: "default" }, spec }) as KubeObject;
const make = (resource: (typeof r)["PODS"], made: KubeObject) => (client: Client) => client.create(resource, made);
const alive = async (client: Client) => (await client.list<Pod>(r.PODS)).items.filter((pod) => !isTerminating(pod));
const imagesOf = async (client: Client) => (await alive(client)).map((pod) => pod.spec?.containers[0]?.image).sort();
const selector = { matchLabels: { app: "web" } };

test("a deployment that is updated and scaled has so many pods of the last version, and no others", async (t) => {
  const change = (client: Client, spec: object) =>
    client.patch(r.DEPLOYMENTS, { namespace: "default", name: "web" }, { type: "merge", body: { spec } as never });
  const spec = { replicas: 4, selector, template: podSpec("v1"), strategy: { type: "RollingUpdate" } };
  await converges(t, {
    loops: [deploymentController, replicaSetController],
    fate: ready,
    steps: [
      async (client) => {
        await make(r.DEPLOYMENTS, object("apps/v1", "Deployment", "web", spec))(client);
        await change(client, { template: podSpec("v2") });
      },
      make(r.NAMESPACES, { apiVersion: "v1", kind: "Namespace", metadata: { name: "other" } }),
      make(r.PODS, object("v1", "Pod", "stranger", { containers: [{ name: "c", image: "x" }] })),
    ],
    async view(client) {
      const sets = (await client.list<ReplicaSet>(r.REPLICA_SETS)).items;
      return { images: await imagesOf(client), size: sets.reduce((sum, rs) => sum + (rs.spec?.replicas ?? 0), 0) };
    },
    expected: { images: ["v2", "v2", "v2", "v2", "x"], size: 4 },
  });
});

test("a rollout by steps stands at its step, and pods that drained are gone", async (t) => {
  const annotations = { "rollout.capstan.dev/steps": "25% hold, 100%", "rollout.capstan.dev/drain": "20ms" };
  const spec = { replicas: 4, selector, template: podSpec("v1"), strategy: { type: "RollingUpdate" } };
  const made = object("apps/v1", "Deployment", "web", spec);
  const name = { namespace: "default", name: "web" };
  await converges(t, {
    loops: [deploymentController, replicaSetController, drainController],
    fate: ready,
    steps: [
      async (client) => {
        await client.create(r.DEPLOYMENTS, { ...made, metadata: { ...made.metadata, annotations } });
        await until(async () => (await client.get<Deployment>(r.DEPLOYMENTS, name)).status?.availableReplicas === 4);
        const body = { spec: { template: podSpec("v2") } } as never;
        await client.patch(r.DEPLOYMENTS, name, { type: "merge", body });
      },
      make(r.NAMESPACES, { apiVersion: "v1", kind: "Namespace", metadata: { name: "other" } }),
    ],
    view: imagesOf,
    expected: ["v1", "v1", "v1", "v2"],
  });
});

test("a stateful set has its ordinals, each once", async (t) => {
  const spec = {
    replicas: 3,
    serviceName: "web",
    selector,
    template: podSpec("v1"),
    podManagementPolicy: "OrderedReady",
  };
  await converges(t, {
    loops: [statefulSetController],
    fate: ready,
    steps: [
      make(r.STATEFUL_SETS, object("apps/v1", "StatefulSet", "db", spec)),
      make(r.PODS, object("v1", "Pod", "stranger", { containers: [] })),
    ],
    view: async (client) => (await alive(client)).map((pod) => pod.metadata.name).sort(),
    expected: ["db-0", "db-1", "db-2", "stranger"],
  });
});

test("a daemon set has one pod on each node that wants it", async (t) => {
  const node = (name: string, labels: Record<string, string>): Node => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels },
  });
  const template = podSpec("v1");
  const spec = {
    selector,
    updateStrategy: { type: "RollingUpdate", rollingUpdate: { maxUnavailable: 1, maxSurge: 0 } },
    template: { ...template, spec: { ...template.spec, nodeSelector: { disk: "ssd" } } },
  };
  await converges(t, {
    loops: [daemonSetController],
    steps: [
      make(r.DAEMON_SETS, object("apps/v1", "DaemonSet", "agent", spec)),
      make(r.NODES, node("a", { disk: "ssd" })),
      make(r.NODES, node("b", { disk: "ssd" })),
      make(r.NODES, node("c", {})),
    ],
    async view(client) {
      const affinity = (pod: Pod) =>
        pod.spec?.affinity?.nodeAffinity?.requiredDuringSchedulingIgnoredDuringExecution?.nodeSelectorTerms[0]
          ?.matchFields?.[0]?.values?.[0];
      return (await alive(client)).map(affinity).sort();
    },
    expected: ["a", "b"],
  });
});

test("an indexed job runs each index once, and counts each pod once", async (t) => {
  const spec = {
    completions: 4,
    parallelism: 2,
    completionMode: "Indexed",
    backoffLimit: 6,
    selector,
    template: { ...podSpec("v1"), spec: { restartPolicy: "Never", containers: [{ name: "c", image: "v1" }] } },
  };
  await converges(t, {
    loops: [jobController],
    fate: () => ({ phase: "Succeeded" }),
    steps: [
      make(r.JOBS, object("batch/v1", "Job", "work", spec)),
      make(r.NAMESPACES, { apiVersion: "v1", kind: "Namespace", metadata: { name: "other" } }),
    ],
    async view(client) {
      const [job] = (await client.list<Job>(r.JOBS)).items;
      const { status } = job ?? {};
      return [status?.succeeded, status?.completedIndexes, status?.conditions?.map((c) => c.type).sort()];
    },
    expected: [4, "0-3", ["Complete", "SuccessCriteriaMet"]],
  });
});

test("a service's slices name its ready pods, and every namespace has its account and certificate", async (t) => {
  const pod = (name: string, ip: string, isReady: boolean): Pod => ({
    ...(object("v1", "Pod", name, { nodeName: "n", containers: [] }) as Pod),
    metadata: { name, namespace: "default", labels: { app: "web" } },
    status: {
      phase: "Running",
      podIP: ip,
      podIPs: [{ ip }],
      conditions: [{ type: "Ready", status: isReady ? "True" : "False" }],
    },
  });
  const service = { selector: { app: "web" }, clusterIP: "10.0.0.1", ipFamilies: ["IPv4"], ports: [{ port: 80 }] };
  await converges(t, {
    loops: [endpointSliceController, serviceAccountController, rootCAController],
    steps: [
      make(r.SERVICES, object("v1", "Service", "web", service)),
      make(r.PODS, pod("a", "10.1.0.1", true)),
      make(r.PODS, pod("b", "10.1.0.2", false)),
      make(r.NAMESPACES, { apiVersion: "v1", kind: "Namespace", metadata: { name: "default" } }),
    ],
    async view(client) {
      const endpoints = (await client.list<EndpointSlice>(r.ENDPOINT_SLICES)).items.flatMap((s) => s.endpoints ?? []);
      return {
        endpoints: endpoints.map((e) => `${e.addresses[0]} ${e.conditions?.ready}`).sort(),
        accounts: (await client.list(r.SERVICE_ACCOUNTS)).items.map((a) => a.metadata.name),
        maps: (await client.list(r.CONFIGMAPS)).items.map((m) => m.metadata.name),
      };
    },
    expected: {
      endpoints: ["10.1.0.1 true", "10.1.0.2 false"],
      accounts: ["default"],
      maps: ["kube-root-ca.crt"],
    },
  });
});
