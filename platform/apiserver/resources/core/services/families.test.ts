import assert from "node:assert/strict";
import { test } from "node:test";
import { resources } from "#sdk/api/facts.ts";
import type { Service, ServiceSpec } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import type { EffectsRequest } from "../../../registry/strategy.ts";
import { defaultService, serviceStrategy } from "./strategy.ts";

const [FOUR, SIX] = ["10.96.0.0/16", "fd00:10:96::/112"];

function strategy(...ranges: string[]) {
  const facts = resources().find(({ group, resource }) => group === "" && resource === "services");
  assert.ok(facts);
  return serviceStrategy(ranges)(facts);
}
type Strategy = ReturnType<typeof strategy>;

const serviceOf = (spec: ServiceSpec): Service => ({
  apiVersion: "v1",
  kind: "Service",
  metadata: { name: "web", namespace: "default" },
  spec: { selector: { app: "web" }, ports: [{ port: 80 }], ...spec },
});

async function settle(services: Strategy, operation: "create" | "update", service: Service, old?: Service) {
  const request = { operation, object: service, old, subresource: "", context: { tenant: 1 } };
  const { ledgers = [] } = (await services.effects?.(request as unknown as EffectsRequest)) ?? {};
  return ledgers.map(({ ledger, delta }) => `${delta["used"] === 1 ? "+" : "-"}${ledger}`).sort();
}

type Lifecycle = Record<"prepareForCreate" | "prepareForUpdate", (...objects: unknown[]) => void>;

async function create(services: Strategy, spec: ServiceSpec) {
  const service = serviceOf(spec);
  defaultService(service);
  (services as unknown as Lifecycle).prepareForCreate(service);
  return { service, ledgers: await settle(services, "create", service) };
}

async function update(services: Strategy, old: Service, change: (spec: ServiceSpec) => void) {
  const service = structuredClone(old);
  change(service.spec ?? {});
  (services as unknown as Lifecycle).prepareForUpdate(service, old);
  return { service, ledgers: await settle(services, "update", service, old) };
}

const familiesOf = ({ spec }: Service): string =>
  `${spec?.ipFamilyPolicy} ${spec?.ipFamilies} ${spec?.clusterIPs?.map((ip) => (ip.includes(":") ? 6 : ip.includes(".") ? 4 : ip))}`;

test("what is asked for of the families there are is given, the first range's by default", async () => {
  const cases: [ranges: string[], spec: ServiceSpec, families: string][] = [
    [[FOUR], {}, "SingleStack IPv4 4"],
    [[FOUR], { ipFamilyPolicy: "PreferDualStack" }, "PreferDualStack IPv4 4"],
    [[SIX], {}, "SingleStack IPv6 6"],
    [[SIX], { clusterIP: "None" }, "SingleStack IPv6 None"],
    [[FOUR, SIX], {}, "SingleStack IPv4 4"],
    [[SIX, FOUR], {}, "SingleStack IPv6 6"],
    [[FOUR, SIX], { ipFamilies: ["IPv6"] }, "SingleStack IPv6 6"],
    [[FOUR, SIX], { ipFamilyPolicy: "PreferDualStack" }, "PreferDualStack IPv4,IPv6 4,6"],
    [[SIX, FOUR], { ipFamilyPolicy: "RequireDualStack" }, "RequireDualStack IPv6,IPv4 6,4"],
    [[FOUR, SIX], { ipFamilyPolicy: "RequireDualStack", ipFamilies: ["IPv6"] }, "RequireDualStack IPv6,IPv4 6,4"],
    [[FOUR, SIX], { ipFamilyPolicy: "RequireDualStack", clusterIP: "None" }, "RequireDualStack IPv4,IPv6 None"],
    [[FOUR, SIX], { ipFamilyPolicy: "PreferDualStack", clusterIP: "fd00:10:96::7" }, "PreferDualStack IPv6,IPv4 6,4"],
    [[FOUR], { clusterIP: "None", selector: {} }, "RequireDualStack IPv4,IPv6 None"],
  ];
  for (const [ranges, spec, families] of cases)
    assert.equal(
      familiesOf((await create(strategy(...ranges), spec)).service),
      families,
      JSON.stringify([ranges, spec]),
    );
});

test("a family that is not there, or an address out of its range, is refused", async () => {
  const refused = async (ranges: string[], spec: ServiceSpec) =>
    assert.rejects(create(strategy(...ranges), spec), (error) => isReason(error, "Invalid"));
  await refused([FOUR], { ipFamilies: ["IPv6"] });
  await refused([SIX], { ipFamilies: ["IPv4"] });
  await refused([FOUR], { ipFamilyPolicy: "RequireDualStack" });
  await refused([FOUR], { clusterIP: "fd00:10:96::7" });
  await refused([FOUR, SIX], { clusterIP: "fd00:10:97::7" });
  await refused([FOUR, SIX], { clusterIP: "fd00:10:96::" });
});

test("a service takes a second address and gives it back, the first stays", async () => {
  const services = strategy(FOUR, SIX);
  const { service: single, ledgers } = await create(services, {});
  assert.deepEqual(ledgers, [`+ip/${single.spec?.clusterIP}`]);
  const dual = await update(services, single, (spec) => {
    spec.ipFamilyPolicy = "RequireDualStack";
  });
  assert.equal(familiesOf(dual.service), "RequireDualStack IPv4,IPv6 4,6");
  assert.equal(dual.service.spec?.clusterIP, single.spec?.clusterIP);
  assert.deepEqual(dual.ledgers, [`+ip/${dual.service.spec?.clusterIPs?.[1]}`]);
  const again = await update(services, dual.service, (spec) => {
    spec.ipFamilyPolicy = "SingleStack";
  });
  assert.equal(familiesOf(again.service), "SingleStack IPv4 4");
  assert.deepEqual(again.ledgers, [`-ip/${dual.service.spec?.clusterIPs?.[1]}`]);
});

test("a service that prefers two families stays as it is when the cluster gets a second one", async () => {
  const { service } = await create(strategy(FOUR), { ipFamilyPolicy: "PreferDualStack" });
  const { service: after, ledgers } = await update(strategy(FOUR, SIX), service, () => undefined);
  assert.equal(familiesOf(after), "PreferDualStack IPv4 4");
  assert.deepEqual(ledgers, []);
});

test("an address that another service has is chosen anew, of its own family", async () => {
  const services = strategy(FOUR, SIX);
  const { service } = await create(services, { ipFamilyPolicy: "RequireDualStack" });
  assert.equal(service.spec?.clusterIPs?.length, 2);
  const fresh = serviceOf({ ipFamilyPolicy: "RequireDualStack" });
  defaultService(fresh);
  (services as unknown as Lifecycle).prepareForCreate(fresh);
  const request = { operation: "create", object: fresh, subresource: "", context: { tenant: 1 } };
  const made = await services.effects?.(request as unknown as EffectsRequest);
  const [, second] = fresh.spec?.clusterIPs ?? [];
  const at = made?.ledgers?.findIndex(({ ledger }) => ledger === `ip/${second}`) ?? -1;
  made?.refused?.({ ok: false, why: "ledger", ledger: at } as never);
  await services.effects?.(request as unknown as EffectsRequest);
  assert.notEqual(fresh.spec?.clusterIPs?.[1], second);
  assert.equal(familiesOf(fresh), "RequireDualStack IPv4,IPv6 4,6");
});
