import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResourceClaim, ResourceClaimStatus } from "#sdk/api/generated/types.ts";
import { validateClaimStatus } from "./allocation.ts";

const claim = (status?: ResourceClaimStatus): ResourceClaim => ({
  metadata: { name: "c" },
  spec: { devices: { requests: [{ name: "r", firstAvailable: [{ name: "s", deviceClassName: "d" }] }] } },
  ...(status ? { status } : {}),
});
const result = (request: string) => ({ request, driver: "d.x", pool: "p", device: "gpu-1" });
const fields = (now: ResourceClaimStatus, before?: ResourceClaimStatus) =>
  validateClaimStatus(claim(now), claim(before)).map(({ field, message }) => `${field}: ${message}`);

test("results are for requests of the claim, and of devices that can be", () => {
  assert.deepEqual(fields({ allocation: { devices: { results: [result("r/s")] } } }), []);
  const [why = ""] = fields({ allocation: { devices: { results: [result("x")] } } });
  assert.match(
    why,
    /^status.allocation.devices.results\[0\].request: Invalid value: "x": must be the name of a request/,
  );
});

test("an allocation stays what it is, and nobody uses a claim without one", () => {
  const allocation = { devices: { results: [result("r")] } };
  assert.match(fields({ allocation: { devices: { results: [result("r/s")] } } }, { allocation })[0] ?? "", /immutable/);
  assert.deepEqual(fields({ reservedFor: [{ resource: "pods", name: "p", uid: "u" }] }), [
    "status.reservedFor: Forbidden: may not be specified when `allocated` is not set",
  ]);
});

test("only what is allocated has a state", () => {
  const device = { driver: "d.x", pool: "p", device: "gpu-2" };
  assert.deepEqual(fields({ allocation: { devices: { results: [result("r")] } }, devices: [device] }), [
    'status.devices[0]: Invalid value: {"Driver":"d.x","Pool":"p","Device":"gpu-2","ShareID":""}: must be an allocated device in the claim',
  ]);
});
