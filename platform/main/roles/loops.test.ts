/** The loops and the scheduler against a real API server over a real PostgreSQL, driven by kubectl. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { execFile } from "node:child_process";
import { rmSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { promisify } from "node:util";
import { type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { createLog } from "#platform/base/log.ts";
import type {
  ClusterRole,
  Deployment,
  EndpointSlice,
  Endpoints,
  Node,
  Pod,
  ReplicaSet,
} from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import { type CoreEvent, EVENTS } from "#sdk/client/recorder.ts";
import { until } from "#sdk/testing/until.ts";
import { type Config, paths } from "../config.ts";
import type { RunningRole, StartRole } from "../role.ts";
import { testConfig } from "../testing/config.ts";
import { start as startApiserver } from "./apiserver.ts";
import { start as startControllers } from "./controllers.ts";
import { start as startScheduler } from "./scheduler.ts";

const run = promisify(execFile);
const core = (resource: string) => ({ group: "", version: "v1", resource });
const apps = (resource: string) => ({ group: "apps", version: "v1", resource });
const SLICES = { group: "discovery.k8s.io", version: "v1", resource: "endpointslices" };

describe("controllers and scheduler", () => {
  let db: TestDatabase;
  let dataDir: string;
  let client: Client;
  let config: Config;
  const log = createLog("error");
  const roles: RunningRole[] = [];
  const kubectl = async (...args: string[]) =>
    (await run("kubectl", ["--kubeconfig", paths(dataDir).kubeconfig, ...args])).stdout;
  const pods = async () => (await client.list<Pod>(core("pods"), { namespace: "default" })).items;

  before(async () => {
    db = await withTestDatabase();
    config = await testConfig("loops", db.url);
    dataDir = config.dataDir;
    const startRole = async (start: StartRole) => {
      const role = await start({ config, log });
      roles.push(role);
      await role.ready;
    };
    await startRole(startApiserver);
    client = createClient(loadKubeconfig(paths(dataDir).kubeconfig));
    // kube-system holds the leader's Lease.
    for (const name of ["default", "kube-system"]) {
      const namespace = { apiVersion: "v1", kind: "Namespace", metadata: { name } };
      await client.create(core("namespaces"), namespace).catch((error: unknown) => {
        if (!isReason(error, "AlreadyExists")) throw error;
      });
    }
    await startRole(startControllers);
    await startRole(startScheduler);
  });
  after(async () => {
    client?.close();
    for (const role of roles.reverse()) await role.stop();
    await db?.remove();
    if (dataDir) rmSync(dataDir, { recursive: true });
  });

  it("every namespace gets its service account and the root certificate", async () => {
    await until(async () =>
      (await kubectl("get", "serviceaccount", "-n", "default", "-o", "name")).includes("default"),
    );
    await until(async () =>
      (await kubectl("get", "configmap", "-n", "default", "-o", "name")).includes("kube-root-ca.crt"),
    );
  });

  it("a deployment becomes a ReplicaSet and pods, which are bound when there is a node", async () => {
    await kubectl("create", "deployment", "web", "--image=example", "--replicas=3");
    await until(async () => (await pods()).length === 3);
    const unscheduled = async () =>
      (await pods()).every((p) => p.status?.conditions?.some((c) => c.reason === "Unschedulable"));
    await until(unscheduled);
    await client.create<Node>(core("nodes"), { apiVersion: "v1", kind: "Node", metadata: { name: "n1" } });
    const status = {
      allocatable: { cpu: "4", memory: "4Gi", pods: "110" },
      capacity: { cpu: "4", memory: "4Gi", pods: "110" },
      conditions: [{ type: "Ready", status: "True", lastHeartbeatTime: "2026-01-01T00:00:00Z" }],
    };
    await client.patch(core("nodes"), { name: "n1" }, { type: "merge", body: { status } }, { subresource: "status" });
    await until(async () => (await pods()).every((p) => p.spec?.nodeName === "n1"), 20_000);
    for (const reason of ["ScalingReplicaSet", "SuccessfulCreate", "FailedScheduling", "Scheduled"]) {
      const has = async () =>
        (await client.list<CoreEvent>(EVENTS, { namespace: "default" })).items.some((e) => e.reason === reason);
      await until(has);
    }
  });

  it("ready pods make the deployment available and fill its service's endpoints", async () => {
    await kubectl("expose", "deployment", "web", "--port=80");
    let n = 1;
    for (const pod of await pods()) {
      const condition = (type: string) => ({ type, status: "True", lastTransitionTime: "2026-01-01T00:00:00Z" });
      const ip = `10.244.0.${n++}`;
      const status = { ...pod.status, phase: "Running", podIP: ip, podIPs: [{ ip }], conditions: [condition("Ready")] };
      await client.update(core("pods"), { ...pod, status }, { subresource: "status" });
    }
    await kubectl("rollout", "status", "deployment/web", "--timeout=20s");
    const slices = async () =>
      (
        await client.list<EndpointSlice>(SLICES, {
          namespace: "default",
          labelSelector: "kubernetes.io/service-name=web",
        })
      ).items;
    await until(async () => (await slices())[0]?.endpoints?.filter((e) => e.conditions?.ready).length === 3);
    equal((await slices()).length, 1);
    deepEqual((await slices())[0]?.ports, [{ name: "", port: 80, protocol: "TCP" }]);
    const endpoints = await client.get<Endpoints>(core("endpoints"), { namespace: "default", name: "web" });
    equal(endpoints.subsets?.[0]?.addresses?.length, 3);
    equal(endpoints.subsets?.[0]?.ports?.[0]?.port, 80);
  });

  it("an update makes a second ReplicaSet, undo goes back to the first", async () => {
    await kubectl("set", "image", "deployment/web", "*=example:2");
    const sets = async () => (await client.list<ReplicaSet>(apps("replicasets"), { namespace: "default" })).items;
    await until(async () => (await sets()).length === 2);
    ok((await kubectl("rollout", "history", "deployment/web")).includes("2"));
    await kubectl("rollout", "undo", "deployment/web");
    await until(async () => {
      const first = (await sets()).find((rs) => rs.spec?.template?.spec?.containers[0]?.image === "example");
      return first?.spec?.replicas === 3 && first.metadata.annotations?.["deployment.kubernetes.io/revision"] === "3";
    });
  });

  it("deleting the deployment collects its ReplicaSets and pods", async () => {
    await kubectl("delete", "deployment", "web");
    // No node agent runs here to end them: without a grace period they go at once.
    await until(async () => (await pods()).every((p) => p.metadata.deletionTimestamp), 20_000);
    await kubectl("delete", "pods", "--all", "--force", "--grace-period=0");
    const { items } = await client.list<Deployment>(apps("replicasets"), { namespace: "default" });
    equal(items.length, 0);
  });

  it("a namespace goes with everything in it", async () => {
    await kubectl("create", "namespace", "short");
    await kubectl("create", "configmap", "one", "-n", "short");
    await kubectl("delete", "namespace", "short", "--timeout=30s");
    ok(!(await kubectl("get", "namespaces", "-o", "name")).includes("short"));
  });

  it("everything goes on after the API server was away", async () => {
    await roles[0]?.stop();
    roles[0] = await startApiserver({ config, log });
    await roles[0].ready;
    await kubectl("create", "deployment", "again", "--image=example", "--replicas=2");
    const bound = async () => (await pods()).filter((p) => p.metadata.labels?.["app"] === "again" && p.spec?.nodeName);
    await until(async () => (await bound()).length === 2, 30_000);
  });

  it("the roles for people gather upstream's, and an expired bootstrap token goes", async () => {
    const roles = { group: "rbac.authorization.k8s.io", version: "v1", resource: "clusterroles" };
    for (const name of ["capstan:developer", "capstan:project-admin"])
      await until(async () => ((await client.get<ClusterRole>(roles, { name })).rules ?? []).length > 10);
    const name = "bootstrap-token-aaaaaa";
    const stringData = { "token-id": "aaaaaa", "token-secret": "0123456789abcdef", expiration: "2020-01-01T00:00:00Z" };
    const metadata = { name, namespace: "kube-system" };
    const type = "bootstrap.kubernetes.io/token";
    await client.create(core("secrets"), {
      apiVersion: "v1",
      kind: "Secret",
      metadata,
      type,
      stringData,
    } as KubeObject);
    await until(() =>
      client.get(core("secrets"), metadata).then(
        () => false,
        (error: unknown) => isReason(error, "NotFound"),
      ),
    );
  });

  it("a second process takes over when the first one stops", async () => {
    const second = await startControllers({ config, log });
    await roles[1]?.stop();
    roles[1] = second;
    await kubectl("create", "deployment", "after", "--image=example");
    const made = async () => (await pods()).some((p) => p.metadata.labels?.["app"] === "after");
    await until(made, 30_000);
  });
});
