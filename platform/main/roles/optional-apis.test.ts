/** Group versions that are off until `--runtime-config` and feature gates ask for them: the Workload API and storage version migrations. */
import assert from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { silentLog } from "#platform/base/log.ts";
import { resourceClaimController } from "#platform/controllers/resource-claim/controller.ts";
import { runControllers } from "#platform/controllers/run.ts";
import { storageVersionMigrator } from "#platform/controllers/storage-version-migrator/controller.ts";
import { noPlugins } from "#platform/scheduler/framework.ts";
import { type Scheduler, startScheduler } from "#platform/scheduler/scheduler.ts";
import type {
  CustomResourceDefinition,
  Deployment,
  Pod,
  PodGroup,
  ResourceClaim,
  StorageVersionMigration,
} from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import { until } from "#sdk/testing/until.ts";
import { paths } from "../config.ts";
import type { RunningRole } from "../role.ts";
import { testConfig } from "../testing/config.ts";
import { start as startApiserver } from "./apiserver.ts";

const GATES = [
  "GenericWorkload",
  "WorkloadAwarePreemption",
  "DRAWorkloadResourceClaims",
  "TopologyAwareWorkloadScheduling",
]
  .map((gate) => `${gate}=true`)
  .join();
const core = (resource: string) => ({ group: "", version: "v1", resource });
const PODS = core("pods");
const DEPLOYMENTS = { group: "apps", version: "v1", resource: "deployments" };
const scheduling = (resource: string) => ({ group: "scheduling.k8s.io", version: "v1alpha2", resource });
const [GROUPS, WORKLOADS] = [scheduling("podgroups"), scheduling("workloads")];
const MIGRATIONS = { group: "storagemigration.k8s.io", version: "v1beta1", resource: "storageversionmigrations" };
const DEFINITIONS = { group: "apiextensions.k8s.io", version: "v1", resource: "customresourcedefinitions" };

describe("what is off until it is asked for", () => {
  let db: TestDatabase;
  let dataDir: string;
  let client: Client;
  let loops: Client;
  let schedulerClient: Client;
  let server: RunningRole;
  let scheduler: Scheduler;
  let looping: Promise<void>;
  const stop = new AbortController();

  const create = <T extends KubeObject>(
    resource: { group: string; version: string; resource: string },
    kind: string,
    object: object,
  ) =>
    client.create<T>(resource, {
      apiVersion: resource.group ? `${resource.group}/${resource.version}` : "v1",
      kind,
      ...object,
    } as unknown as T);

  before(async () => {
    db = await withTestDatabase();
    const config = await testConfig("optional", db.url, {
      server: {
        runtimeConfig: "api/alpha=true,api/beta=true",
        featureGates: GATES,
      },
    });
    dataDir = config.dataDir;
    server = await startApiserver({ config, log: silentLog });
    await server.ready;
    client = createClient(loadKubeconfig(paths(dataDir).kubeconfig));
    loops = createClient(loadKubeconfig(paths(dataDir).roleKubeconfig("controllers")));
    const { signal } = stop;
    looping = runControllers([storageVersionMigrator, resourceClaimController], {
      client: loops,
      log: silentLog,
      signal,
      rootCA: "",
      serviceCIDRs: [],
      podCIDRs: [],
      authorityOf: async () => undefined,
      accountToken: async () => undefined,
    });
    await create(core("serviceaccounts"), "ServiceAccount", { metadata: { name: "default", namespace: "default" } });
    const status = { allocatable: { cpu: "8", memory: "8Gi", pods: "110" } };
    await create(core("nodes"), "Node", { metadata: { name: "n1" }, status });
    const queue = { firstBackoffMs: 10, lastBackoffMs: 100 };
    schedulerClient = createClient(loadKubeconfig(paths(dataDir).roleKubeconfig("scheduler")));
    scheduler = startScheduler({ client: schedulerClient, plugins: noPlugins, log: silentLog, signal, queue });
    await scheduler.ready;
  });
  after(async () => {
    stop.abort();
    await scheduler?.done;
    await looping;
    client?.close();
    loops?.close();
    schedulerClient?.close();
    await server?.stop();
    await db?.remove();
    if (dataDir) rmSync(dataDir, { recursive: true });
  });

  it("is in discovery and in OpenAPI beside what always is", async () => {
    const { body } = await client.raw("GET", "/apis/scheduling.k8s.io");
    const { versions, preferredVersion } = JSON.parse(body) as {
      versions: { version: string }[];
      preferredVersion: { version: string };
    };
    assert.deepEqual([versions.map(({ version }) => version), preferredVersion.version], [["v1", "v1alpha2"], "v1"]);
    const document = await client.raw("GET", "/openapi/v3/apis/storagemigration.k8s.io/v1beta1");
    assert.ok(document.body.includes("io.k8s.api.storagemigration.v1beta1.StorageVersionMigration"));
  });

  it("lets Workloads and PodGroups say how pods are scheduled, and refuses what says nothing", async () => {
    const metadata = { name: "training", namespace: "default" };
    const claims = { resourceClaims: [{ name: "c", resourceClaimName: "c" }] };
    const template = { name: "workers", schedulingPolicy: { gang: { minCount: 2 } }, disruptionMode: "PodGroup" };
    const schedulingConstraints = { topology: [{ key: "zone" }] };
    const podGroupTemplates = [{ ...template, ...claims, schedulingConstraints }];
    const made = await create(WORKLOADS, "Workload", { metadata, spec: { podGroupTemplates } });
    assert.deepEqual((made as unknown as { spec: object }).spec, { podGroupTemplates });
    const refused = (spec: object) =>
      create(GROUPS, "PodGroup", { metadata: { name: "x", namespace: "default" }, spec });
    await assert.rejects(refused({ schedulingPolicy: {} }), (error) => isReason(error, "Invalid"));
    const whole = { schedulingPolicy: { basic: {} }, disruptionMode: "Whole" };
    await assert.rejects(refused(whole), (error) => isReason(error, "Invalid"));
    const both = { name: "c", resourceClaimName: "c", resourceClaimTemplateName: "t" };
    const twice = { schedulingPolicy: { basic: {} }, resourceClaims: [both] };
    await assert.rejects(refused(twice), (error) => isReason(error, "Invalid"));
    const apart = {
      schedulingPolicy: { basic: {} },
      schedulingConstraints: { topology: [{ key: "a" }, { key: "b" }] },
    };
    await assert.rejects(refused(apart), (error) => isReason(error, "Invalid"));
    await assert.rejects(refused({ schedulingPolicy: { gang: { minCount: 0 } } }), (e) => isReason(e, "Invalid"));
    await assert.rejects(
      client.update(WORKLOADS, { ...made, spec: { podGroupTemplates: [] } } as KubeObject),
      (error) => isReason(error, "Invalid"),
    );
  });

  it("binds a group's pods when enough of them are there; templates keep the group's name", async () => {
    const spec = { schedulingPolicy: { gang: { minCount: 3 } } };
    const group = await create<PodGroup>(GROUPS, "PodGroup", {
      metadata: { name: "workers", namespace: "default" },
      spec,
    });
    assert.deepEqual([group.spec?.disruptionMode, group.spec?.priority], ["Pod", 0]);
    const schedulingGroup = { podGroupName: "workers" };
    const containers = [{ name: "c", image: "x" }];
    const member = (name: string) =>
      create<Pod>(PODS, "Pod", { metadata: { name, namespace: "default" }, spec: { containers, schedulingGroup } });
    const isBound = async (name: string) =>
      (await client.get<Pod>(PODS, { namespace: "default", name })).spec?.nodeName !== undefined;
    assert.deepEqual((await member("w0")).spec?.schedulingGroup, schedulingGroup);
    await member("w1");
    await create<Pod>(PODS, "Pod", { metadata: { name: "alone", namespace: "default" }, spec: { containers } });
    await until(() => isBound("alone"));
    assert.deepEqual([await isBound("w0"), await isBound("w1")], [false, false]);
    await member("w2");
    for (const name of ["w0", "w1", "w2"]) await until(() => isBound(name));
    const told = async () =>
      (await client.get<PodGroup>(GROUPS, { namespace: "default", name: "workers" })).status?.conditions?.[0];
    await until(async () => (await told())?.reason === "Scheduled");
    assert.deepEqual([(await told())?.type, (await told())?.status], ["PodGroupScheduled", "True"]);
    const path = "/apis/scheduling.k8s.io/v1alpha2/namespaces/default/podgroups/workers";
    const accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    const { body } = await client.raw("GET", path, undefined, { accept });
    const [row] = (JSON.parse(body) as { rows: { cells: string[] }[] }).rows;
    assert.deepEqual(row?.cells.slice(0, 4), ["workers", "Gang", "<none>", "Scheduled"]);
    const labels = { app: "a" };
    const template = { metadata: { labels }, spec: { containers, schedulingGroup } };
    const deployment = await create<Deployment>(DEPLOYMENTS, "Deployment", {
      metadata: { name: "d", namespace: "default" },
      spec: { selector: { matchLabels: labels }, template },
    });
    assert.deepEqual(deployment.spec?.template?.spec?.schedulingGroup, schedulingGroup);
  });

  it("lets the pods of a group share a claim, which is reserved for the group until that is gone", async () => {
    const dra = (resource: string) => ({ group: "resource.k8s.io", version: "v1", resource });
    const CLAIMS = dra("resourceclaims");
    await create(dra("deviceclasses"), "DeviceClass", { metadata: { name: "gpu" }, spec: {} });
    const pool = { name: "n1", generation: 1, resourceSliceCount: 1 };
    const slice = { driver: "gpu.example.com", nodeName: "n1", pool, devices: [{ name: "gpu-0" }] };
    await create(dra("resourceslices"), "ResourceSlice", { metadata: { name: "gpus" }, spec: slice });
    const requests = [{ name: "gpu", exactly: { deviceClassName: "gpu" } }];
    await create(dra("resourceclaimtemplates"), "ResourceClaimTemplate", {
      metadata: { name: "gpu", namespace: "default" },
      spec: { spec: { devices: { requests } } },
    });
    const resourceClaims = [{ name: "gpu", resourceClaimTemplateName: "gpu" }];
    const group = await create<PodGroup>(GROUPS, "PodGroup", {
      metadata: { name: "sharing", namespace: "default" },
      spec: { schedulingPolicy: { gang: { minCount: 2 } }, resourceClaims },
    });
    const schedulingGroup = { podGroupName: "sharing" };
    const spec = { containers: [{ name: "c", image: "x" }], schedulingGroup, resourceClaims };
    const names = ["s0", "s1"];
    for (const name of names) await create<Pod>(PODS, "Pod", { metadata: { name, namespace: "default" }, spec });
    const pod = (name: string) => client.get<Pod>(PODS, { namespace: "default", name });
    for (const name of names) await until(async () => (await pod(name)).spec?.nodeName === "n1");
    const claims = async () => (await client.list<ResourceClaim>(CLAIMS, { namespace: "default" })).items;
    const [claim, ...others] = await claims();
    assert.equal(others.length, 0);
    assert.equal(claim?.metadata.ownerReferences?.[0]?.uid, group.metadata.uid);
    assert.deepEqual(claim?.status?.reservedFor, [
      { apiGroup: "scheduling.k8s.io", resource: "podgroups", name: "sharing", uid: group.metadata.uid },
    ]);
    const shown = await client.get<PodGroup>(GROUPS, { namespace: "default", name: "sharing" });
    const made = [{ name: "gpu", resourceClaimName: claim?.metadata.name }];
    assert.deepEqual(shown.status?.resourceClaimStatuses, made);
    for (const name of names) assert.deepEqual((await pod(name)).status?.resourceClaimStatuses, made);
    const away = async (name: string) => client.delete(PODS, { namespace: "default", name }, { gracePeriodSeconds: 0 });
    for (const name of names) await away(name);
    assert.equal((await claims())[0]?.status?.reservedFor?.length, 1);
    await client.delete(GROUPS, { namespace: "default", name: "sharing" });
    // As the collector of garbage does.
    await client.delete(CLAIMS, { namespace: "default", name: claim?.metadata.name ?? "" });
    await until(async () => (await claims()).length === 0);
  });

  it("may be read and written by who may view and edit", async () => {
    const roles = { group: "rbac.authorization.k8s.io", version: "v1", resource: "clusterroles" };
    const verbs = async (name: string) => {
      const { rules = [] } = (await client.get(roles, { name })) as {
        rules?: { resources?: string[]; verbs: string[] }[];
      };
      return rules.filter(({ resources }) => resources?.includes("workloads")).flatMap((rule) => rule.verbs);
    };
    assert.ok((await verbs("system:aggregate-to-view")).includes("list"));
    assert.ok((await verbs("system:aggregate-to-edit")).includes("create"));
  });

  const migration = (name: string) => client.get<StorageVersionMigration>(MIGRATIONS, { name });
  const migrate = (name: string, group: string, resource: string) =>
    create(MIGRATIONS, "StorageVersionMigration", { metadata: { name }, spec: { resource: { group, resource } } });
  const conditions = async (name: string) =>
    Object.fromEntries((await migration(name)).status?.conditions?.map(({ type, status }) => [type, status]) ?? []);

  it("writes all objects of a resource anew, one migration after the other", async () => {
    for (const name of ["first", "second"]) await migrate(name, "", "configmaps");
    for (const name of ["first", "second"]) {
      await until(async () => (await conditions(name))["Running"] === "False");
      assert.deepEqual(await conditions(name), { Running: "False", Succeeded: "True" });
      assert.match((await migration(name)).status?.resourceVersion ?? "", /^[1-9]\d*$/);
    }
  });

  it("leaves a custom resource with one stored version", async () => {
    const version = (name: string, storage: boolean) => ({
      name,
      storage,
      served: true,
      schema: { openAPIV3Schema: { type: "object", "x-kubernetes-preserve-unknown-fields": true } },
    });
    const names = { plural: "things", singular: "thing", kind: "Thing", listKind: "ThingList" };
    const name = "things.example.com";
    const spec = {
      group: "example.com",
      scope: "Namespaced",
      names,
      versions: [version("v1", true), version("v2", false)],
    };
    await create(DEFINITIONS, "CustomResourceDefinition", { metadata: { name }, spec });
    const definition = () => client.get<CustomResourceDefinition>(DEFINITIONS, { name });
    const things = { group: "example.com", version: "v2", resource: "things" };
    const thing = { metadata: { name: "t", namespace: "default" } };
    await until(async () => (await client.raw("GET", "/apis/example.com/v2")).code === 200);
    await create(things, "Thing", thing);
    const versions = [version("v1", false), version("v2", true)];
    await client.patch(DEFINITIONS, { name }, { type: "merge", body: { spec: { versions } } });
    await until(async () => (await definition()).status?.storedVersions?.length === 2);
    const before = await client.get(things, { namespace: "default", name: "t" });
    await migrate("things", "example.com", "things");
    await until(async () => (await conditions("things"))["Running"] === "False");
    assert.deepEqual(await conditions("things"), { Running: "False", Succeeded: "True" });
    const { status } = await definition();
    assert.deepEqual(status?.storedVersions, ["v2"]);
    assert.equal(status?.conditions?.find(({ type }) => type === "StorageMigrating")?.reason, "MigrationSucceeded");
    const now = await client.get(things, { namespace: "default", name: "t" });
    assert.notEqual(now.metadata.resourceVersion, before.metadata.resourceVersion);
  });

  it("says why what cannot be migrated is not", async () => {
    await migrate("reviews", "authentication.k8s.io", "tokenreviews");
    await until(async () => (await conditions("reviews"))["Failed"] === "True");
    const failed = (await migration("reviews")).status?.conditions?.find(({ type }) => type === "Failed");
    assert.match(failed?.message ?? "", /does not support discovery operations/);
  });
});
