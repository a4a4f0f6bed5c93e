import { deepEqual, equal } from "node:assert/strict";
import { describe, test } from "node:test";
import type { IPAddress, Service, ServiceCIDR } from "#sdk/api/generated/types.ts";
import type { Client } from "#sdk/client/port.ts";
import { IP_ADDRESSES, NAMESPACES, SERVICE_CIDRS, SERVICES } from "../resources.ts";
import { converges } from "../testing/converge.ts";
import { ipAddressController, serviceCIDRController } from "./controller.ts";
import { addressObject, contains, FINALIZER, stepFor } from "./reconcile.ts";

const NOW = Date.parse("2026-01-02T00:00:00Z");
const range = (name: string, cidrs: string[], deletedAt?: string): ServiceCIDR => ({
  metadata: { name, finalizers: [FINALIZER], ...(deletedAt ? { deletionTimestamp: deletedAt } : {}) },
  spec: { cidrs },
});
const service = (name: string, ...clusterIPs: string[]): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name, namespace: "default" },
  spec: { clusterIPs },
});

test("ranges hold the addresses of their family", () => {
  deepEqual(
    [
      contains("10.0.0.0/24", "10.0.0.255"),
      contains("10.0.0.0/24", "10.0.1.0"),
      contains("fd00::/112", "fd00::1"),
      contains("10.0.0.0/24", "fd00::1"),
      contains("x", "10.0.0.1"),
    ],
    [true, false, true, false, false],
  );
});

describe("a range that is deleted", () => {
  const long = "2026-01-01T00:00:00Z";
  const just = "2026-01-01T23:59:55Z";
  const taken = addressObject(service("a"), "10.0.0.7");
  const own: IPAddress = { ...taken, metadata: { name: "10.0.0.7" } };
  const cases: [string, ServiceCIDR, ServiceCIDR[], IPAddress[], unknown][] = [
    [
      "stays while a service has an address that only it holds",
      range("a", ["10.0.0.0/24"], long),
      [],
      [taken],
      "False Terminating",
    ],
    [
      "goes when another range holds its addresses",
      range("a", ["10.0.0.0/24"], long),
      [range("b", ["10.0.0.0/16"])],
      [taken],
      [],
    ],
    [
      "goes when another range holds those that are taken",
      range("a", ["10.0.0.0/24"], long),
      [range("b", ["10.0.0.0/28"])],
      [taken],
      [],
    ],
    ["does not wait for addresses that are nobody's", range("a", ["10.0.0.0/24"], long), [], [own], []],
    ["waits until everybody knows that it ends", range("a", ["10.0.0.0/24"], just), [], [], 5000],
  ];
  for (const [name, ended, others, addresses, expected] of cases) {
    test(name, () => {
      const { condition, finalizers, requeueAfterMs } = stepFor(ended, [ended, ...others], addresses, NOW);
      deepEqual(condition ? `${condition.status} ${condition.reason}` : (finalizers ?? requeueAfterMs), expected);
    });
  }
});

test("a range is ready once it is protected", () => {
  const { finalizers, condition } = stepFor({ metadata: { name: "a" }, spec: { cidrs: ["10.0.0.0/24"] } }, [], [], NOW);
  deepEqual(finalizers, [FINALIZER]);
  equal(condition?.status, "True");
});

test("services' addresses are shown, and nothing else, whatever happens on the way", async (t) => {
  const remove = (name: string) => (client: Client) => client.delete(SERVICES, { namespace: "default", name });
  const make =
    (...objects: Service[]) =>
    async (client: Client) => {
      for (const object of objects) await client.create(SERVICES, object);
    };
  await converges(t, {
    loops: [serviceCIDRController, ipAddressController],
    more: { serviceCIDRs: ["10.0.0.0/24"] },
    steps: [
      (client) => client.create(NAMESPACES, { apiVersion: "v1", kind: "Namespace", metadata: { name: "default" } }),
      make(service("a", "10.0.0.1", "fd00::1"), service("none", "None")),
      async (client) => {
        await make(service("gone", "10.0.0.2"))(client);
        await remove("gone")(client);
        await make(service("heir", "10.0.0.2"))(client);
      },
      (client) => client.create(IP_ADDRESSES, addressObject(service("stray"), "10.0.0.9")),
      (client) =>
        client.create(IP_ADDRESSES, { ...addressObject(service("own"), "10.0.0.8"), metadata: { name: "10.0.0.8" } }),
    ],
    async view(client) {
      const addresses = (await client.list<IPAddress>(IP_ADDRESSES)).items;
      const ranges = (await client.list<ServiceCIDR>(SERVICE_CIDRS)).items;
      return {
        addresses: addresses.map((a) => `${a.metadata.name} ${a.spec?.parentRef?.name}`).sort(),
        ranges: ranges.map((r) => [r.spec?.cidrs, r.metadata.finalizers, r.status?.conditions?.map((c) => c.status)]),
      };
    },
    expected: {
      addresses: ["10.0.0.1 a", "10.0.0.2 heir", "10.0.0.8 own", "fd00::1 a"],
      ranges: [[["10.0.0.0/24"], [FINALIZER], ["True"]]],
    },
  });
});
