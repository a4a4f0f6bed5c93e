import assert from "node:assert/strict";
import { test } from "node:test";
import type { EndpointSlice, Pod, Service } from "#sdk/api/generated/types.ts";
import { createFakeApi } from "#sdk/testing/fake-api.ts";
import { ENDPOINT_SLICES } from "../resources.ts";
import { MadeSlices } from "./made.ts";
import { planSlices } from "./reconcile.ts";

const KEY = "root/default/web";
const service = {
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "web", namespace: "default", uid: "u" },
  spec: { selector: { app: "web" }, clusterIP: "10.0.0.1", ipFamilies: ["IPv4"], ports: [{ port: 80 }] },
} as unknown as Service;
const pod = (name: string, ip: string): Pod =>
  ({
    metadata: { name, namespace: "default", uid: name, labels: { app: "web" } },
    spec: { nodeName: "n", containers: [] },
    status: { phase: "Running", podIP: ip, podIPs: [{ ip }], conditions: [{ type: "Ready", status: "True" }] },
  }) as unknown as Pod;
const [a, b] = [pod("a", "10.1.0.1"), pod("b", "10.1.0.2")];

function world() {
  const { client } = createFakeApi();
  const made = new MadeSlices();
  let shown: EndpointSlice[] = [];
  const list = async () => (await client.list<EndpointSlice>(ENDPOINT_SLICES)).items;
  return {
    client,
    list,
    async reconcile(pods: Pod[]) {
      const plan = planSlices(service, pods, made.with(KEY, shown), () => undefined);
      await made.apply(client, KEY, plan, () => shown);
    },
    async catchUp() {
      shown = await list();
    },
  };
}

test("a slice that the informer does not show yet is not made again", async () => {
  const { list, reconcile, catchUp } = world();
  await reconcile([a]);
  await reconcile([a, b]);
  await reconcile([b]);
  const [slice, ...others] = await list();
  assert.deepEqual(others, []);
  assert.deepEqual(
    slice?.endpoints?.map(({ addresses }) => addresses),
    [["10.1.0.2"]],
  );
  await catchUp();
  await reconcile([b]);
  assert.equal((await list()).length, 1);
});

test("one that is deleted before the informer shows it is forgotten", async () => {
  const { client, list, reconcile } = world();
  await reconcile([a]);
  const [slice] = await list();
  await client.delete(ENDPOINT_SLICES, { namespace: "default", name: slice?.metadata.name ?? "" });
  await assert.rejects(reconcile([a, b]), /not found/);
  await reconcile([a, b]);
  assert.deepEqual(
    (await list()).map(({ endpoints }) => endpoints?.length),
    [2],
  );
});
