/** Given a pod's containers: the requests of the claim that stands for their resources, and which container has which. */
import { deepEqual, equal } from "node:assert/strict";
import { describe, test } from "node:test";
import { classesByResource } from "#platform/rules/extended-resources.ts";
import type { Container, DeviceClass, Pod } from "#sdk/api/generated/types.ts";
import { requestsFor, resourcesOf } from "./resources.ts";

const GPU = "example.com/gpu";
const deviceClass = (name: string, extendedResourceName?: string, creationTimestamp?: string): DeviceClass => ({
  apiVersion: "resource.k8s.io/v1",
  kind: "DeviceClass",
  metadata: { name, ...(creationTimestamp ? { creationTimestamp } : {}) },
  spec: { ...(extendedResourceName ? { extendedResourceName } : {}) },
});
const byResource = classesByResource([deviceClass("gpu", GPU), deviceClass("nic")]);
const container = (name: string, requests: Record<string, string>, more: Partial<Container> = {}): Container => ({
  name,
  resources: { requests },
  ...more,
});
const pod = (containers: Container[], initContainers: Container[] = []): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name: "p", namespace: "default", uid: "u" },
  spec: { containers, initContainers },
});
const gpus = (count: number, more: Record<string, string> = {}) => ({ ...more, [GPU]: String(count) });

interface Case {
  pod: Pod;
  /** "request=class×count". */
  requests: string[];
  /** "container resource request". */
  mappings: string[];
}
const cases: Record<string, Case> = {
  "each container has a request of its own, named by its place and that of the resource": {
    pod: pod([container("a", gpus(2, { cpu: "1" })), container("b", gpus(1))]),
    requests: ["container-0-request-1=gpu×2", "container-1-request-0=gpu×1"],
    mappings: [`a ${GPU} container-0-request-1`, `b ${GPU} container-1-request-0`],
  },
  "a class is a resource by its name, too": {
    pod: pod([container("a", { "deviceclass.resource.kubernetes.io/nic": "1" })]),
    requests: ["container-0-request-0=nic×1"],
    mappings: ["a deviceclass.resource.kubernetes.io/nic container-0-request-0"],
  },
  "what no class stands for is left alone": {
    pod: pod([container("a", { "example.com/other": "1", cpu: "1" })]),
    requests: [],
    mappings: [],
  },
  "an init container uses what the containers after it have": {
    pod: pod([container("a", gpus(2))], [container("i", gpus(1))]),
    requests: ["container-1-request-0=gpu×2"],
    mappings: [`a ${GPU} container-1-request-0`, `i ${GPU} container-1-request-0`],
  },
  "… and, of several that need more, the most that one needs": {
    pod: pod([container("a", gpus(1))], [container("i", gpus(2)), container("j", gpus(3))]),
    requests: ["container-1-request-0=gpu×2", "container-2-request-0=gpu×1"],
    mappings: [
      `a ${GPU} container-2-request-0`,
      `i ${GPU} container-2-request-0`,
      `i ${GPU} container-1-request-0`,
      `j ${GPU} container-2-request-0`,
      `j ${GPU} container-1-request-0`,
    ],
  },
  "an init container that stays has its own, which those before it may use": {
    pod: pod([], [container("i", gpus(1)), container("s", gpus(1), { restartPolicy: "Always" })]),
    requests: ["container-1-request-0=gpu×1"],
    mappings: [`s ${GPU} container-1-request-0`, `i ${GPU} container-1-request-0`],
  },
};

describe("the claim for a pod's resources", () => {
  for (const [name, { pod: of, requests, mappings }] of Object.entries(cases))
    test(name, () => {
      const asked = resourcesOf(of, "root", (_, resource) => byResource.get(resource));
      const made = requestsFor(of, asked);
      deepEqual(
        made.requests.map(({ name: request, exactly }) => `${request}=${exactly?.deviceClassName}×${exactly?.count}`),
        requests,
      );
      deepEqual(
        made.mappings.map((one) => `${one.containerName} ${one.resourceName} ${one.requestName}`),
        mappings,
      );
    });

  test("is for the youngest class that names the resource, then for the first by name", () => {
    const old = deviceClass("a", GPU, "2026-01-01T00:00:00Z");
    const [b, c] = ["b", "c"].map((name) => deviceClass(name, GPU, "2026-01-02T00:00:00Z"));
    for (const classes of [
      [old, b!, c!],
      [c!, b!, old],
    ])
      equal(classesByResource(classes).get(GPU)?.metadata.name, "b");
  });
});
