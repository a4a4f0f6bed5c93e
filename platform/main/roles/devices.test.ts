/** Device claims from a pod to its devices: API server over a real PostgreSQL, the controller of claims, two schedulers. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { rmSync } from "node:fs";
import { after, before, describe, it } from "node:test";
import { type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { createLog, silentLog } from "#platform/base/log.ts";
import { resourceClaimController } from "#platform/controllers/resource-claim/controller.ts";
import { runControllers } from "#platform/controllers/run.ts";
import { noPlugins } from "#platform/scheduler/framework.ts";
import { type Scheduler, startScheduler } from "#platform/scheduler/scheduler.ts";
import type { Pod, PodResourceClaim, ResourceClaim, ResourceClaimSpec } from "#sdk/api/generated/types.ts";
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

const core = (resource: string) => ({ group: "", version: "v1", resource });
const dra = (resource: string) => ({ group: "resource.k8s.io", version: "v1", resource });
const [PODS, CLAIMS] = [core("pods"), dra("resourceclaims")];
const DRIVER = "gpu.example.com";
const NODES = ["n0", "n1"];
const PER_NODE = 2;

describe("device claims", () => {
  let db: TestDatabase;
  let dataDir: string;
  let client: Client;
  let schedulerClient: Client;
  let server: RunningRole;
  let looping: Promise<void>;
  const stop = new AbortController();
  const schedulers: Scheduler[] = [];

  const create = (resource: { group: string; version: string; resource: string }, kind: string, object: object) =>
    client.create<KubeObject>(resource, {
      apiVersion: resource.group ? `${resource.group}/${resource.version}` : "v1",
      kind,
      ...object,
    } as KubeObject);
  const makePod = (name: string, claims: PodResourceClaim[]) =>
    create(PODS, "Pod", {
      metadata: { name, namespace: "default" },
      spec: { containers: [{ name: "c", image: "x" }], resourceClaims: claims },
    });
  const makeClaim = (name: string, devices: NonNullable<ResourceClaimSpec["devices"]>) =>
    create(CLAIMS, "ResourceClaim", { metadata: { name, namespace: "default" }, spec: { devices } });
  const pod = (name: string) => client.get<Pod>(PODS, { namespace: "default", name });
  const claim = (name: string) => client.get<ResourceClaim>(CLAIMS, { namespace: "default", name });
  const claims = async () => (await client.list<ResourceClaim>(CLAIMS, { namespace: "default" })).items;
  const devicesOf = ({ status }: ResourceClaim): string[] =>
    (status?.allocation?.devices?.results ?? []).map(({ pool, device }) => `${pool}/${device}`);
  const isBound = async (name: string) => (await pod(name)).spec?.nodeName !== undefined;
  const messageOf = async (name: string) =>
    (await pod(name)).status?.conditions?.find(({ type }) => type === "PodScheduled")?.message ?? "";
  const end = async (...names: string[]) => {
    for (const name of names) await client.delete(PODS, { namespace: "default", name }, { gracePeriodSeconds: 0 });
    const left = async () => (await claims()).filter(({ metadata }) => metadata.ownerReferences?.length);
    // What was made for them is freed; without a collector of garbage it is removed here.
    await until(async () => (await left()).every((one) => !one.status?.allocation));
    for (const { metadata } of await left()) {
      await client.delete(CLAIMS, { namespace: "default", name: metadata.name ?? "" });
    }
  };
  const one = { exactly: { deviceClassName: "gpu" }, name: "gpu" };

  before(async () => {
    db = await withTestDatabase();
    const config = await testConfig("devices", db.url);
    dataDir = config.dataDir;
    server = await startApiserver({ config, log: createLog("error") });
    await server.ready;
    client = createClient(loadKubeconfig(paths(dataDir).kubeconfig));
    schedulerClient = createClient(loadKubeconfig(paths(dataDir).roleKubeconfig("scheduler")));
    await create(core("serviceaccounts"), "ServiceAccount", { metadata: { name: "default", namespace: "default" } });
    await create(dra("deviceclasses"), "DeviceClass", {
      metadata: { name: "gpu" },
      spec: { selectors: [{ cel: { expression: `device.driver == "${DRIVER}"` } }] },
    });
    for (const name of NODES) {
      const status = { allocatable: { cpu: "8", memory: "8Gi", pods: "110" } };
      await create(core("nodes"), "Node", { metadata: { name }, status });
      const devices = Array.from({ length: PER_NODE }, (_, i) => ({ name: `gpu-${i}` }));
      const pool = { name, generation: 1, resourceSliceCount: 1 };
      const spec = { driver: DRIVER, nodeName: name, pool, devices };
      await create(dra("resourceslices"), "ResourceSlice", { metadata: { name: `${name}-gpus` }, spec });
    }
    await create(dra("resourceclaimtemplates"), "ResourceClaimTemplate", {
      metadata: { name: "gpu", namespace: "default" },
      spec: { spec: { devices: { requests: [one] } } },
    });
    const { signal } = stop;
    looping = runControllers([resourceClaimController], {
      client: createClient(loadKubeconfig(paths(dataDir).roleKubeconfig("controllers"))),
      log: silentLog,
      signal,
      rootCA: "",
      serviceCIDRs: [],
      podCIDRs: [],
      authorityOf: async () => undefined,
      accountToken: async () => undefined,
    });
    for (let index = 0; index < 2; index++) {
      const queue = { firstBackoffMs: 10, lastBackoffMs: 100 };
      const share = { index, count: 2 };
      schedulers.push(
        startScheduler({ client: schedulerClient, plugins: noPlugins, log: silentLog, signal, queue, share }),
      );
    }
    await Promise.all(schedulers.map(({ ready }) => ready));
  });
  after(async () => {
    stop.abort();
    await Promise.all(schedulers.map(({ done }) => done));
    await looping;
    client?.close();
    schedulerClient?.close();
    await server?.stop();
    await db?.remove();
    if (dataDir) rmSync(dataDir, { recursive: true });
  });

  it("that a template makes get a device each, none twice, and who comes too late waits until one is freed", async () => {
    const names = Array.from({ length: NODES.length * PER_NODE + 1 }, (_, i) => `many-${i}`);
    for (const name of names) await makePod(name, [{ name: "gpu", resourceClaimTemplateName: "gpu" }]);
    const bound = async () => {
      const found = await Promise.all(names.map(async (name) => ((await isBound(name)) ? name : undefined)));
      return found.filter((name) => name !== undefined);
    };
    await until(async () => (await bound()).length === NODES.length * PER_NODE);
    const taken = (await claims()).flatMap(devicesOf);
    deepEqual(taken.toSorted(), ["n0/gpu-0", "n0/gpu-1", "n1/gpu-0", "n1/gpu-1"]);
    for (const { status, metadata } of await claims()) {
      if (!status?.allocation) continue;
      const [user] = status.reservedFor ?? [];
      const { nodeName } = (await pod(user?.name ?? "")).spec ?? {};
      deepEqual(status.allocation.nodeSelector?.nodeSelectorTerms[0]?.matchFields?.[0]?.values, [nodeName]);
      ok(metadata.finalizers?.includes("resource.kubernetes.io/delete-protection"));
    }
    const placed = await bound();
    const late = names.find((name) => !placed.includes(name))!;
    await until(async () => (await messageOf(late)) !== "");
    match(await messageOf(late), /^0\/2 nodes are available: 2 cannot allocate all claims\. /);
    await client.delete(PODS, { namespace: "default", name: placed[0]! }, { gracePeriodSeconds: 0 });
    await until(() => isBound(late));
    await end(...names.filter((name) => name !== placed[0]));
  });

  it("that two pods share bring the second to the node of the first, and are freed after the last", async () => {
    await makeClaim("shared", { requests: [one] });
    await makePod("first", [{ name: "gpu", resourceClaimName: "shared" }]);
    await until(() => isBound("first"));
    await makePod("second", [{ name: "gpu", resourceClaimName: "shared" }]);
    await until(() => isBound("second"));
    equal((await pod("second")).spec?.nodeName, (await pod("first")).spec?.nodeName);
    const path = "/apis/resource.k8s.io/v1/namespaces/default/resourceclaims/shared";
    const accept = "application/json;as=Table;v=v1;g=meta.k8s.io";
    const { body } = await client.raw("GET", path, undefined, { accept });
    equal((JSON.parse(body) as { rows: { cells: string[] }[] }).rows[0]?.cells[1], "allocated,reserved");
    const users = (await claim("shared")).status?.reservedFor?.map(({ name }) => name);
    deepEqual(users, ["first", "second"]);
    await end("first", "second");
    await until(async () => (await claim("shared")).status?.allocation === undefined);
    await client.delete(CLAIMS, { namespace: "default", name: "shared" });
  });

  it("that lack something say what, and get it when it comes", async () => {
    await makePod("lacking", [{ name: "gpu", resourceClaimName: "later" }]);
    await until(async () => (await messageOf("lacking")).includes(`resourceclaim.resource.k8s.io "later" not found`));
    await makeClaim("later", { requests: [{ name: "gpu", exactly: { deviceClassName: "unknown" } }] });
    await until(async () => (await messageOf("lacking")).includes("request gpu: device class unknown does not exist"));
    await create(dra("deviceclasses"), "DeviceClass", { metadata: { name: "unknown" }, spec: {} });
    await until(() => isBound("lacking"));
    await end("lacking");
    await until(async () => (await claim("later")).status?.allocation === undefined);
  });

  it("that have devices where their pod cannot run give them back and get others", async () => {
    await makeClaim("moved", { requests: [one] });
    const result = { request: "gpu", driver: DRIVER, pool: "gone", device: "gpu-0" };
    const field = { key: "metadata.name", operator: "In", values: ["gone"] };
    const allocation = {
      devices: { results: [result] },
      nodeSelector: { nodeSelectorTerms: [{ matchFields: [field] }] },
    };
    const made = await claim("moved");
    await client.update(CLAIMS, { ...made, status: { allocation } }, { subresource: "status" });
    await makePod("mover", [{ name: "gpu", resourceClaimName: "moved" }]);
    await until(() => isBound("mover"));
    ok(NODES.includes((await pod("mover")).spec?.nodeName ?? ""));
    await end("mover");
    await until(async () => (await claim("moved")).status?.allocation === undefined);
  });

  it("of a gang share what is given to them, whole or not at all", async () => {
    await makeClaim("ours", { requests: [one] });
    const member = (name: string) =>
      create(PODS, "Pod", {
        metadata: {
          name,
          namespace: "default",
          annotations: { "scheduling.capstan.dev/gang": "g", "scheduling.capstan.dev/gang-min-count": "2" },
        },
        spec: {
          containers: [{ name: "c", image: "x" }],
          resourceClaims: [
            { name: "ours", resourceClaimName: "ours" },
            { name: "own", resourceClaimTemplateName: "gpu" },
          ],
        },
      });
    // Two devices on a node: one for both, and one left for one of them alone.
    await member("g0");
    await member("g1");
    await until(async () => (await messageOf("g1")).startsWith('gang "g": 1 of 2 pods fit'));
    equal((await claim("ours")).status?.allocation, undefined);
    const spec = { devices: ["gpu-0", "gpu-1", "gpu-2"].map((name) => ({ name })) };
    const patch = { type: "merge" as const, body: { spec } };
    for (const name of NODES) await client.patch(dra("resourceslices"), { name: `${name}-gpus` }, patch);
    await until(async () => (await isBound("g0")) && (await isBound("g1")));
    equal((await pod("g0")).spec?.nodeName, (await pod("g1")).spec?.nodeName);
    equal((await claim("ours")).status?.reservedFor?.length, 2);
    await end("g0", "g1");
  });

  it("whose devices have to be prepared hold their pod until their driver says that they are", async () => {
    const pool = { name: "prepared", generation: 1, resourceSliceCount: 1 };
    const conditions = { bindingConditions: ["attached"], bindingFailureConditions: ["broken"] };
    const devices = [{ name: "nic-0", ...conditions }];
    const driver = "nic.example.com";
    const spec = { driver, nodeName: "n0", pool, devices };
    await create(dra("resourceslices"), "ResourceSlice", { metadata: { name: "nics" }, spec });
    const selectors = [{ cel: { expression: `device.driver == "${driver}"` } }];
    await create(dra("deviceclasses"), "DeviceClass", { metadata: { name: "nic" }, spec: { selectors } });
    await makeClaim("prepared", { requests: [{ name: "nic", exactly: { deviceClassName: "nic" } }] });
    await makePod("networked", [{ name: "nic", resourceClaimName: "prepared" }]);
    await until(async () => (await claim("prepared")).status?.reservedFor?.length === 1);
    await makePod("marker", []);
    await until(() => isBound("marker"));
    equal(await isBound("networked"), false);
    const told = await claim("prepared");
    const attached = {
      type: "attached",
      status: "True",
      reason: "Attached",
      message: "",
      lastTransitionTime: "2026-01-01T00:00:00Z",
    };
    const state = { driver, pool: "prepared", device: "nic-0", conditions: [attached] };
    await client.update(CLAIMS, { ...told, status: { ...told.status, devices: [state] } }, { subresource: "status" });
    await until(() => isBound("networked"));
    await end("marker", "networked");
  });

  const makeAsking = (name: string, amounts: Record<string, string>[]) =>
    create(PODS, "Pod", {
      metadata: { name, namespace: "default" },
      spec: { containers: amounts.map((limits, i) => ({ name: `c${i}`, image: "x", resources: { limits } })) },
    });

  it("are made for pods that ask for a class by a resource's name, and end with them", async () => {
    const [resource, implicit] = ["example.com/gpu", "deviceclass.resource.kubernetes.io/gpu"];
    const named = { type: "merge" as const, body: { spec: { extendedResourceName: resource } } };
    await client.patch(dra("deviceclasses"), { name: "gpu" }, named);
    await makeAsking("asking", [{ [resource]: "1" }, { [implicit]: "1" }]);
    await until(() => isBound("asking"));
    const { spec, status, metadata } = await pod("asking");
    const { resourceClaimName = "", requestMappings } = status?.extendedResourceClaimStatus ?? {};
    deepEqual(requestMappings, [
      { containerName: "c1", resourceName: implicit, requestName: "container-1-request-0" },
      { containerName: "c0", resourceName: resource, requestName: "container-0-request-0" },
    ]);
    match(resourceClaimName, /^asking-extended-resources-/);
    const made = await claim(resourceClaimName);
    equal(made.metadata.annotations?.["resource.kubernetes.io/extended-resource-claim"], "true");
    equal(made.metadata.ownerReferences?.[0]?.uid, metadata.uid);
    equal(made.status?.reservedFor?.[0]?.uid, metadata.uid);
    equal(made.status?.allocation?.devices?.results?.length, 2);
    ok(devicesOf(made).every((device) => device.startsWith(`${spec?.nodeName}/`)));
    await client.delete(PODS, { namespace: "default", name: "asking" }, { gracePeriodSeconds: 0 });
    await until(async () => (await claim(resourceClaimName)).status?.allocation === undefined);
    await client.delete(CLAIMS, { namespace: "default", name: resourceClaimName });
  });

  it("are made in a pod's own tenant, by classes of root that it has not itself", async () => {
    const tenants = { group: "capstan.dev", version: "v1", resource: "tenants" };
    await create(tenants, "Tenant", { metadata: { name: "acme" } });
    const acme = client.tenant("acme");
    const inAcme = (resource: string, kind: string, object: object) =>
      acme.create<KubeObject>(core(resource), { apiVersion: "v1", kind, ...object } as KubeObject);
    const account = { metadata: { name: "default", namespace: "default" } };
    await until(async () => {
      const made = await inAcme("serviceaccounts", "ServiceAccount", account).catch((error: unknown) => error);
      return !(made instanceof Error) || isReason(made, "AlreadyExists");
    });
    const limits = { "example.com/gpu": "1" };
    await inAcme("pods", "Pod", {
      metadata: { name: "theirs", namespace: "default" },
      spec: { containers: [{ name: "c", image: "x", resources: { limits } }] },
    });
    const theirs = () => acme.get<Pod>(PODS, { namespace: "default", name: "theirs" });
    await until(async () => (await theirs()).spec?.nodeName !== undefined);
    const { resourceClaimName = "" } = (await theirs()).status?.extendedResourceClaimStatus ?? {};
    const made = await acme.get<ResourceClaim>(CLAIMS, { namespace: "default", name: resourceClaimName });
    equal(devicesOf(made).length, 1);
    equal(
      (await claims()).some(({ metadata }) => metadata.name === resourceClaimName),
      false,
    );
    await acme.delete(PODS, { namespace: "default", name: "theirs" }, { gracePeriodSeconds: 0 });
    await until(async () => {
      const { items } = await acme.list<ResourceClaim>(CLAIMS, { namespace: "default" });
      return items.every(({ status }) => !status?.allocation);
    });
  });

  it("count for quotas of the resource that their class names", async () => {
    const quotas = core("resourcequotas");
    const name = "requests.example.com/gpu";
    const metadata = { name: "gpus", namespace: "default" };
    const quota = await create(quotas, "ResourceQuota", { metadata, spec: { hard: { [name]: "2" } } });
    const status = { hard: { [name]: "2" }, used: { [name]: "0" } };
    await client.update(quotas, { ...quota, status } as KubeObject, { subresource: "status" });
    const wanting = (count: number) => ({
      requests: [{ name: "gpu", exactly: { deviceClassName: "gpu", count } }],
    });
    await rejects(makeClaim("three", wanting(3)), /exceeded quota: gpus, requested: requests.example.com\/gpu=3/);
    await makeClaim("two", wanting(2));
    await rejects(makeAsking("one-more", [{ "example.com/gpu": "1" }]), /used: requests.example.com\/gpu=2/);
    await client.delete(CLAIMS, { namespace: "default", name: "two" });
    await client.delete(quotas, metadata);
  });

  it("are not made on nodes whose own plugins have the resource; one that an earlier decision left behind goes", async () => {
    const resource = "example.com/gpu";
    const allocatable = (more: object) =>
      client.patch(
        core("nodes"),
        { name: "n1" },
        { type: "merge", body: { status: { allocatable: { ...more } } } },
        { subresource: "status" },
      );
    await allocatable({ [resource]: "100" });
    // More than there are devices on the other node.
    await makeAsking("counted", [{ [resource]: "50" }]);
    await until(() => isBound("counted"));
    equal((await pod("counted")).spec?.nodeName, "n1");
    equal((await pod("counted")).status?.extendedResourceClaimStatus, undefined);
    equal(
      (await claims()).some(({ metadata }) => metadata.ownerReferences?.length),
      false,
    );
    await makeAsking("uncounted", [{ [resource]: "51" }]);
    await until(async () => (await messageOf("uncounted")).includes(`1 Insufficient ${resource}`));
    match(await messageOf("uncounted"), /1 cannot allocate all claims/);
    const { uid = "" } = (await pod("uncounted")).metadata;
    const left = await create(CLAIMS, "ResourceClaim", {
      metadata: {
        generateName: "uncounted-extended-resources-",
        namespace: "default",
        annotations: { "resource.kubernetes.io/extended-resource-claim": "true" },
        ownerReferences: [{ apiVersion: "v1", kind: "Pod", name: "uncounted", uid, controller: true }],
      },
      spec: { devices: { requests: [one] } },
    });
    await until(async () => !(await claims()).some(({ metadata }) => metadata.name === left.metadata.name));
    await allocatable({ [resource]: "200" });
    await until(() => isBound("uncounted"));
    await end("counted", "uncounted");
    await allocatable({ [resource]: null });
  });

  it("of schedulers that give a device away at once leave it to the first; others may write what they like", async () => {
    const results = [{ request: "gpu", driver: DRIVER, pool: "elsewhere", device: "gpu-9" }];
    const give = async (by: Client, name: string) => {
      const made = await makeClaim(name, { requests: [one] });
      const status = { allocation: { devices: { results } } };
      return await by.update(CLAIMS, { ...made, status } as ResourceClaim, { subresource: "status" });
    };
    await give(schedulerClient, "winner");
    await rejects(give(schedulerClient, "loser"), (error) => isReason(error, "Conflict"));
    await give(client, "other");
    for (const name of ["winner", "other"]) await client.delete(CLAIMS, { namespace: "default", name });
    await give(schedulerClient, "next");
  });
});
