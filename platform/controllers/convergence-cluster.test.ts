/** Storage, quotas, budgets, owners and evictions come to the same state under crashes, lost writes and in any order. */
import { test } from "node:test";
import type {
  Endpoints,
  Node,
  PersistentVolume,
  PersistentVolumeClaim,
  Pod,
  PodDisruptionBudget,
  ResourceQuota,
  Secret,
} from "#sdk/api/generated/types.ts";
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import type { Client } from "#sdk/client/port.ts";
import { disruptionController } from "./disruption/controller.ts";
import { endpointsController } from "./endpoints/controller.ts";
import { ephemeralVolumeController } from "./ephemeral-volume/controller.ts";
import { garbageCollector } from "./garbage-collector/controller.ts";
import { namespaceController } from "./namespace/controller.ts";
import { persistentVolumeBinder } from "./persistentvolume-binder/controller.ts";
import { resourceQuotaController } from "./resourcequota/controller.ts";
import * as r from "./resources.ts";
import { serviceAccountTokenController } from "./serviceaccount-token/controller.ts";
import { claimProtection } from "./storage-protection/controller.ts";
import { taintEvictionController } from "./taint-eviction/controller.ts";
import { converges } from "./testing/converge.ts";
import { ready } from "./testing/world.ts";

const QUOTAS: GroupVersionResource = { group: "", version: "v1", resource: "resourcequotas" };
const object = (apiVersion: string, kind: string, name: string, rest: object): KubeObject =>
  ({
    apiVersion,
    kind,
    metadata: { name, namespace: "default", ...(rest as KubeObject).metadata },
    ...without(rest),
  }) as KubeObject;
const without = (rest: object) => Object.fromEntries(Object.entries(rest).filter(([key]) => key !== "metadata"));
const make =
  (resource: GroupVersionResource, ...made: KubeObject[]) =>
  async (client: Client) => {
    for (const one of made) await client.create(resource, one);
  };
const names = async (client: Client, resource: GroupVersionResource) =>
  (await client.list(resource)).items.map((item) => item.metadata.name).sort();
const pod = (name: string, rest: object = {}): Pod =>
  object("v1", "Pod", name, {
    metadata: { labels: { app: "web" } },
    spec: { containers: [{ name: "c" }] },
    ...rest,
  }) as Pod;
const cluster = <T extends KubeObject>({ metadata: { namespace: _, ...metadata }, ...rest }: KubeObject): T =>
  ({ ...rest, metadata }) as T;

test("a claim and a volume that fit find each other", async (t) => {
  const spec = { accessModes: ["ReadWriteOnce"], storageClassName: "slow" };
  const volume = (name: string, storage: string) =>
    cluster<PersistentVolume>(
      object("v1", "PersistentVolume", name, { spec: { ...spec, capacity: { storage }, hostPath: { path: "/x" } } }),
    );
  const claim = object("v1", "PersistentVolumeClaim", "data", {
    spec: { ...spec, resources: { requests: { storage: "2Gi" } } },
  });
  await converges(t, {
    loops: [persistentVolumeBinder, claimProtection],
    steps: [
      make(r.PERSISTENT_VOLUMES, volume("small", "1Gi")),
      make(r.PERSISTENT_VOLUMES, volume("right", "3Gi")),
      make(r.PERSISTENT_VOLUME_CLAIMS, claim),
    ],
    async view(client) {
      const [found] = (await client.list<PersistentVolumeClaim>(r.PERSISTENT_VOLUME_CLAIMS)).items;
      const volumes = (await client.list<PersistentVolume>(r.PERSISTENT_VOLUMES)).items;
      return {
        claim: [found?.status?.phase, found?.spec?.volumeName, found?.metadata.finalizers],
        volumes: volumes.map((v) => [v.metadata.name, v.status?.phase, v.spec?.claimRef?.name]).sort(),
      };
    },
    expected: {
      claim: ["Bound", "right", ["kubernetes.io/pvc-protection"]],
      volumes: [
        ["right", "Bound", "data"],
        ["small", "Available", undefined],
      ],
    },
  });
});

test("a pod's ephemeral volume has one claim, a quota counts what there is", async (t) => {
  const volume = {
    name: "scratch",
    ephemeral: {
      volumeClaimTemplate: { spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } } },
    },
  };
  await converges(t, {
    loops: [ephemeralVolumeController, resourceQuotaController],
    steps: [
      make(r.PODS, pod("a", { spec: { containers: [{ name: "c" }], volumes: [volume] } })),
      make(r.PODS, pod("b")),
      make(QUOTAS, object("v1", "ResourceQuota", "q", { spec: { hard: { pods: "5" } } })),
    ],
    async view(client) {
      const [quota] = (await client.list<ResourceQuota>(QUOTAS)).items;
      // Who creates is charged by the server's transaction, which this world does not have: what was there first is counted.
      return {
        claims: await names(client, r.PERSISTENT_VOLUME_CLAIMS),
        counted: quota?.status?.used?.["pods"] !== undefined,
      };
    },
    expected: { claims: ["a-scratch"], counted: true },
  });
});

test("a budget knows its pods", async (t) => {
  const set = object("apps/v1", "ReplicaSet", "web", { metadata: { uid: "rs" }, spec: { replicas: 3, selector: {} } });
  const owner = { apiVersion: "apps/v1", kind: "ReplicaSet", name: "web", uid: "rs", controller: true };
  const owned = (name: string) => pod(name, { metadata: { labels: { app: "web" }, ownerReferences: [owner] } });
  await converges(t, {
    loops: [disruptionController],
    fate: ready,
    steps: [
      make(r.REPLICA_SETS, { ...set, metadata: { ...set.metadata, uid: "rs" } }),
      make(r.PODS, owned("a"), owned("b")),
      make(r.PODS, owned("c")),
      make(
        r.POD_DISRUPTION_BUDGETS,
        object("policy/v1", "PodDisruptionBudget", "b", {
          spec: { minAvailable: 2, selector: { matchLabels: { app: "web" } } },
        }),
      ),
    ],
    async view(client) {
      const [budget] = (await client.list<PodDisruptionBudget>(r.POD_DISRUPTION_BUDGETS)).items;
      const { currentHealthy, desiredHealthy, expectedPods, disruptionsAllowed } = budget?.status ?? {};
      return [currentHealthy, desiredHealthy, expectedPods, disruptionsAllowed];
    },
    expected: [3, 2, 3, 1],
  });
});

test("what has lost its owner goes, and a namespace goes with what is in it", async (t) => {
  const map = (name: string, uid: string): KubeObject =>
    object("v1", "ConfigMap", name, {
      metadata: { ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "owner", uid }] },
    });
  const space = cluster(object("v1", "Namespace", "short", { spec: { finalizers: ["kubernetes"] } }));
  await converges(t, {
    loops: [garbageCollector, namespaceController],
    steps: [
      async (client) => {
        const owner = await client.create<Pod>(r.PODS, pod("owner"));
        await client.create(r.CONFIGMAPS, map("kept", owner.metadata.uid ?? ""));
      },
      make(r.CONFIGMAPS, map("lost", "nobody")),
      async (client) => {
        await client.create(r.NAMESPACES, space);
        await client.create(r.CONFIGMAPS, {
          apiVersion: "v1",
          kind: "ConfigMap",
          metadata: { name: "in", namespace: "short" },
        });
        await client.delete(r.NAMESPACES, { name: "short" });
      },
    ],
    view: async (client) => [await names(client, r.CONFIGMAPS), await names(client, r.NAMESPACES)],
    expected: [["kept"], []],
  });
});

test("token secrets are filled, pods leave tainted nodes, endpoints follow", async (t) => {
  const node = (name: string, taints: object[]): Node => cluster(object("v1", "Node", name, { spec: { taints } }));
  const running = (name: string, nodeName: string, ip: string) =>
    pod(name, {
      spec: { nodeName, containers: [{ name: "c" }] },
      status: { phase: "Running", podIP: ip, podIPs: [{ ip }], conditions: [{ type: "Ready", status: "True" }] },
    });
  const secret = object("v1", "Secret", "token", {
    metadata: { annotations: { "kubernetes.io/service-account.name": "robot" } },
    type: "kubernetes.io/service-account-token",
  });
  const service = object("v1", "Service", "web", {
    spec: { selector: { app: "web" }, clusterIP: "10.0.0.1", ports: [{ port: 80 }] },
  });
  await converges(t, {
    loops: [serviceAccountTokenController, taintEvictionController, endpointsController],
    more: { accountToken: async () => "t" },
    steps: [
      async (client) => {
        await make(r.SERVICE_ACCOUNTS, object("v1", "ServiceAccount", "robot", {}))(client);
        await make(r.SECRETS, secret)(client);
      },
      make(r.NODES, node("bad", [{ key: "k", effect: "NoExecute" }])),
      make(r.NODES, node("good", [])),
      make(r.PODS, running("stays", "good", "10.1.0.1")),
      make(r.PODS, running("goes", "bad", "10.1.0.2")),
      make(r.SERVICES, service),
    ],
    async view(client) {
      const [filled] = (await client.list<Secret>(r.SECRETS)).items;
      const [endpoints] = (await client.list<Endpoints>(r.ENDPOINTS)).items;
      return {
        token: filled?.data?.["token"] !== undefined,
        pods: await names(client, r.PODS),
        addresses: (endpoints?.subsets ?? []).flatMap((s) => s.addresses ?? []).map((a) => a.ip),
      };
    },
    expected: { token: true, pods: ["stays"], addresses: ["10.1.0.1"] },
  });
});
