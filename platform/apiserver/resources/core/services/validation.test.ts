import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { Service, ServiceSpec } from "#sdk/api/generated/types.ts";
import { defaultService } from "./strategy.ts";
import { validateService, validateServiceUpdate } from "./validation.ts";

/** What allocation has filled in before. */
const FAMILY: Partial<ServiceSpec> = { ipFamilies: ["IPv4"], ipFamilyPolicy: "SingleStack" };
const HEADLESS = { clusterIP: "None", clusterIPs: ["None"] };
const service = (spec: Partial<ServiceSpec>): Service => {
  const made: Service = { metadata: { name: "s" }, spec: { ports: [{ port: 80 }], ...FAMILY, ...spec } };
  defaultService(made);
  return made;
};
const told = (causes: readonly { field?: string; reason?: string }[]) =>
  causes.map(({ field, reason }) => `${field?.replace("spec.", "")} ${reason?.replace("FieldValue", "")}`);
const refused = (spec: Partial<ServiceSpec>) => told(validateService(service(spec)));

test("a service's ports are there, named apart, and within the range", () => {
  deepEqual(refused({}), []);
  deepEqual(refused({ ports: [] }), ["ports Required"]);
  deepEqual(refused({ ports: [], ...HEADLESS }), []);
  deepEqual(refused({ ports: [{ port: 80 }, { port: 81 }] }), ["ports[0].name Required", "ports[1].name Required"]);
  deepEqual(refused({ ports: [{ port: 0 }] }), ["ports[0].port Invalid", "ports[0].targetPort Invalid"]);
  deepEqual(refused({ ports: [{ port: 80, protocol: "ICMP" }] }), ["ports[0].protocol NotSupported"]);
  deepEqual(refused({ ports: [{ port: 80, targetPort: "a--b" }] }), ["ports[0].targetPort Invalid"]);
});

test("what a type of service has no use for is refused", () => {
  deepEqual(refused({ type: "Sometimes" }), ["type NotSupported"]);
  deepEqual(refused({ type: "ExternalName", externalName: "A_b", ipFamilies: undefined, ipFamilyPolicy: undefined }), [
    "externalName Invalid",
  ]);
  deepEqual(refused({ type: "LoadBalancer", ...HEADLESS }), ["clusterIPs[0] Invalid"]);
  deepEqual(refused({ sessionAffinity: "Sticky" }), ["sessionAffinity NotSupported"]);
  deepEqual(refused({ externalIPs: ["127.0.0.1"] }), ["externalIPs[0] Invalid"]);
});

test("a service's address stays", () => {
  const old = service({ clusterIP: "10.0.0.1", clusterIPs: ["10.0.0.1"] });
  const next = service({ clusterIP: "10.0.0.2", clusterIPs: ["10.0.0.2"] });
  deepEqual(told(validateServiceUpdate(next, old)), ["clusterIPs[0] Invalid"]);
  deepEqual(told(validateServiceUpdate(old, old)), []);
});
