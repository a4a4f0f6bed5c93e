import assert from "node:assert/strict";
import { test } from "node:test";
import type { ResourceQuota } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { chargeQuotas, QuotaRefused, type QuotaRequest } from "./check.ts";

const quota = (hard: Record<string, string>, used: Record<string, string>, scopes: string[] = []): ResourceQuota => ({
  metadata: { name: "q" },
  spec: { hard, scopes },
  status: { hard, used },
});
const pod = (requests: Record<string, string> = {}, limits: Record<string, string> = {}, more: object = {}) =>
  ({
    metadata: { name: "p" },
    spec: { containers: [{ name: "c", resources: { requests, limits } }], ...more },
  }) as unknown as DynamicObject;
const create = (resource: string, object: DynamicObject): QuotaRequest => ({
  resource,
  operation: "create",
  subresource: "",
  object,
  old: undefined,
  now: 0,
});
const refused = (text: string) => (error: unknown) => error instanceof QuotaRefused && error.message === text;

test("a pod is charged for itself and for what it asks", () => {
  const hard = { pods: "5", "requests.cpu": "2", memory: "1Gi", "limits.cpu": "4", "requests.example.com/gpu": "3" };
  const used = { pods: "1", "requests.cpu": "500m", memory: "0", "limits.cpu": "0", "requests.example.com/gpu": "0" };
  const asked = pod({ cpu: "250m", memory: "64Mi", "example.com/gpu": "2" }, { cpu: "1" });
  const [charge] = chargeQuotas([quota(hard, used)], create("pods", asked));
  assert.deepEqual(charge?.used, {
    pods: "2",
    "requests.cpu": "750m",
    memory: "64Mi",
    "limits.cpu": "1",
    "requests.example.com/gpu": "2",
  });
});

test("what goes beyond a quota is refused with the figures of what it exceeds", () => {
  const q = quota({ pods: "2", "requests.cpu": "1" }, { pods: "1", "requests.cpu": "800m" });
  assert.throws(
    () => chargeQuotas([q], create("pods", pod({ cpu: "300m" }))),
    refused("exceeded quota: q, requested: requests.cpu=300m, used: requests.cpu=800m, limited: requests.cpu=1"),
  );
});

test("a container must say what a quota counts, and a quota without figures admits nothing", () => {
  const hard = { "requests.cpu": "1", "limits.memory": "1Gi" };
  assert.throws(
    () => chargeQuotas([quota(hard, { "requests.cpu": "0", "limits.memory": "0" })], create("pods", pod())),
    refused("failed quota: q: must specify limits.memory for: c; requests.cpu for: c"),
  );
  assert.throws(
    () => chargeQuotas([quota({ pods: "1" }, {})], create("pods", pod())),
    refused("status unknown for quota: q, resources: pods"),
  );
});

test("scopes choose the pods that count", () => {
  const charged = (scope: string, object: DynamicObject) =>
    chargeQuotas([quota({ pods: "5" }, { pods: "0" }, [scope])], create("pods", object)).length;
  assert.deepEqual([charged("BestEffort", pod()), charged("NotBestEffort", pod())], [1, 0]);
  assert.deepEqual([charged("BestEffort", pod({ cpu: "1" })), charged("NotBestEffort", pod({ cpu: "1" }))], [0, 1]);
  const ending = pod({}, {}, { activeDeadlineSeconds: 10 });
  assert.deepEqual([charged("Terminating", ending), charged("NotTerminating", ending)], [1, 0]);
  const q = quota({ pods: "5" }, { pods: "0" });
  q.spec = {
    ...q.spec,
    scopeSelector: { matchExpressions: [{ scopeName: "PriorityClass", operator: "In", values: ["a"] }] },
  };
  const inClass = (name: string) => chargeQuotas([q], create("pods", pod({}, {}, { priorityClassName: name }))).length;
  assert.deepEqual([inClass("a"), inClass("b")], [1, 0]);
});

test("objects of any resource are counted by name, a service by its type, an update by what it adds", () => {
  const object = { metadata: { name: "x" } } as DynamicObject;
  const [custom] = chargeQuotas(
    [quota({ "count/foos.example.com": "2" }, { "count/foos.example.com": "1" })],
    create("foos.example.com", object),
  );
  assert.deepEqual(custom?.used, { "count/foos.example.com": "2" });
  const service = (type: string) =>
    ({ metadata: { name: "s" }, spec: { type, ports: [{ port: 1 }, { port: 2 }] } }) as unknown as DynamicObject;
  const q = quota({ services: "1", "services.nodeports": "2" }, { services: "1", "services.nodeports": "0" });
  const change = {
    ...create("services", service("NodePort")),
    operation: "update" as const,
    old: service("ClusterIP"),
  };
  assert.deepEqual(chargeQuotas([q], change)[0]?.used, { services: "1", "services.nodeports": "2" });
  assert.deepEqual(chargeQuotas([q], { ...change, object: service("ClusterIP"), old: service("NodePort") }), []);
});

test("a claim for devices is charged for the most it may get of each class", () => {
  const names = ["gold", "silver"].map((name) => `${name}.deviceclass.resource.k8s.io/devices`);
  const hard = Object.fromEntries([...names, "count/resourceclaims.resource.k8s.io"].map((name) => [name, "40"]));
  const zero = Object.fromEntries(Object.keys(hard).map((name) => [name, "0"]));
  const exactly = (deviceClassName: string, count: number) => ({
    deviceClassName,
    allocationMode: "ExactCount",
    count,
  });
  const requests = [
    { name: "a", exactly: exactly("gold", 2) },
    {
      name: "b",
      firstAvailable: [exactly("gold", 1), exactly("gold", 3), { ...exactly("silver", 0), allocationMode: "All" }],
    },
  ];
  const claim = { metadata: { name: "c" }, spec: { devices: { requests } } } as unknown as DynamicObject;
  const [charge] = chargeQuotas([quota(hard, zero)], create("resourceclaims.resource.k8s.io", claim));
  assert.deepEqual(Object.values(charge?.used ?? {}), ["5", "32", "1"]);
});

test("a claim counts as the resources that its devices stand for, beyond what its pod is charged", () => {
  const resource = "example.com/gpu";
  const name = `requests.${resource}`;
  const q = quota({ [name]: "4", "requests.deviceclass.resource.kubernetes.io/gold": "4" }, { [name]: "0" });
  q.status!.used!["requests.deviceclass.resource.kubernetes.io/gold"] = "0";
  const exactly = { deviceClassName: "gold", allocationMode: "ExactCount", count: 3 };
  const spec = { devices: { requests: [{ name: "a", exactly }] } };
  const owner = { apiVersion: "v1", kind: "Pod", name: "p", uid: "u", controller: true };
  const annotations = { "resource.kubernetes.io/extended-resource-claim": "true" };
  const claim = (more: object) => ({ metadata: { name: "c", ...more }, spec }) as unknown as DynamicObject;
  const requests = { [resource]: "2" };
  const pod = { metadata: { name: "p", uid: "u" }, spec: { containers: [{ name: "c", resources: { requests } }] } };
  const devices = {
    classes: [{ metadata: { name: "gold" }, spec: { extendedResourceName: resource } }],
    claims: [],
    pods: new Map([["p", pod]]),
  };
  const charged = (object: DynamicObject, more: object = {}) =>
    chargeQuotas([q], { ...create("resourceclaims.resource.k8s.io", object), devices: { ...devices, ...more } })[0]
      ?.used;
  const implicit = "requests.deviceclass.resource.kubernetes.io/gold";
  assert.deepEqual(charged(claim({})), { [name]: "3", [implicit]: "3" });
  const made = claim({ annotations, ownerReferences: [owner] });
  assert.deepEqual(charged(made), { [name]: "1", [implicit]: "3" });
  const earlier = claim({ name: "b", annotations, ownerReferences: [owner] });
  assert.deepEqual(charged(made, { claims: [earlier] }), { [name]: "3", [implicit]: "3" });
  const asking = { ...pod, spec: { containers: [{ name: "c", resources: { requests: { [resource]: "5" } } }] } };
  assert.throws(() => chargeQuotas([q], create("pods", asking as unknown as DynamicObject)), /exceeded quota: q/);
});
