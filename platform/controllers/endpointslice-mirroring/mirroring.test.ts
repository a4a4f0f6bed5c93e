import { deepEqual, equal } from "node:assert/strict";
import test from "node:test";
import type { EndpointSlice, Endpoints, Service } from "#sdk/api/generated/types.ts";
import { until } from "#sdk/testing/until.ts";
import { ENDPOINT_SLICES, ENDPOINTS, SERVICES } from "../resources.ts";
import { world } from "../testing/world.ts";
import { endpointSliceMirroringController } from "./controller.ts";
import { isMirrored, MIRRORED_MAX, planMirror } from "./reconcile.ts";

const endpoints = (addresses: string[], more: Partial<Endpoints["metadata"]> = {}): Endpoints => ({
  apiVersion: "v1",
  kind: "Endpoints",
  metadata: { name: "db", namespace: "default", ...more },
  subsets: [{ addresses: addresses.map((ip) => ({ ip })), ports: [{ name: "sql", port: 5432 }] }],
});
const service = (selector?: Record<string, string>): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "db", namespace: "default" },
  spec: { ports: [{ port: 5432 }], ...(selector ? { selector } : {}) },
});

test("what nobody asked to mirror is not mirrored", () => {
  equal(isMirrored(endpoints([]), service()), true);
  equal(isMirrored(endpoints([]), undefined), false);
  equal(isMirrored(endpoints([]), service({ a: "b" })), false);
  equal(isMirrored(endpoints([], { labels: { "endpointslice.kubernetes.io/skip-mirror": "true" } }), service()), false);
  equal(
    isMirrored(endpoints([], { annotations: { "control-plane.alpha.kubernetes.io/leader": "x" } }), service()),
    false,
  );
});

test("each family has its slice, with the readiness, labels and annotations of the source", () => {
  const source = endpoints(["10.0.0.1", "fd00::1"], { labels: { app: "db" }, annotations: { note: "x" } });
  source.subsets?.push({ notReadyAddresses: [{ ip: "10.0.0.2" }], ports: [{ name: "sql", port: 5432 }] });
  const { create, invalid, skipped } = planMirror(source, []);
  deepEqual(
    create.map((s) => [s.addressType, s.endpoints?.map((e) => [e.addresses[0], e.conditions?.ready])]),
    [
      [
        "IPv4",
        [
          ["10.0.0.1", true],
          ["10.0.0.2", false],
        ],
      ],
      ["IPv6", [["fd00::1", true]]],
    ],
  );
  equal(create[0]?.metadata.labels?.["app"], "db");
  deepEqual(create[0]?.metadata.annotations, { note: "x" });
  deepEqual([invalid, skipped], [0, 0]);
  const again = planMirror(source, create);
  deepEqual([again.create, again.update, again.delete], [[], [], []]);
});

test("addresses that are none and those beyond the maximum are counted, not mirrored", () => {
  const many = Array.from({ length: MIRRORED_MAX + 3 }, (_, i) => `10.1.${i >> 8}.${i & 255}`);
  const plan = planMirror(endpoints(["nonsense", ...many]), []);
  deepEqual([plan.invalid, plan.skipped, plan.create[0]?.endpoints?.length], [1, 3, MIRRORED_MAX]);
});

test("a mirror follows its source, is mended, and goes with it", async (t) => {
  const { client } = world(t, [endpointSliceMirroringController]);
  const mirrors = async () => (await client.list<EndpointSlice>(ENDPOINT_SLICES)).items;
  const addresses = async () => (await mirrors()).flatMap((s) => s.endpoints ?? []).flatMap((e) => e.addresses);
  await client.create(SERVICES, service());
  const made = await client.create<Endpoints>(ENDPOINTS, endpoints(["10.0.0.1"]));
  await until(async () => (await addresses()).join() === "10.0.0.1");
  await client.update(ENDPOINTS, { ...made, subsets: endpoints(["10.0.0.2"]).subsets });
  await until(async () => (await addresses()).join() === "10.0.0.2");
  for (const slice of await mirrors()) await client.update(ENDPOINT_SLICES, { ...slice, endpoints: [] });
  await until(async () => (await addresses()).join() === "10.0.0.2");
  await client.delete(ENDPOINTS, { namespace: "default", name: "db" });
  await until(async () => (await mirrors()).length === 0);
});
