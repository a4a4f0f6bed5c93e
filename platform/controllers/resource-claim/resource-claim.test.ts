import { deepEqual, equal } from "node:assert/strict";
import { describe, test } from "node:test";
import type { Pod, ResourceClaim } from "#sdk/api/generated/types.ts";
import type { Client } from "#sdk/client/port.ts";
import { PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS } from "../resources.ts";
import { converges } from "../testing/converge.ts";
import { resourceClaimController } from "./controller.ts";
import { claimFrom, FINALIZER, stepFor } from "./reconcile.ts";

const pod = (name: string, phase?: string): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "default", uid: `uid-${name}` },
  spec: { containers: [], resourceClaims: [{ name: "gpu", resourceClaimTemplateName: "gpus" }] },
  ...(phase ? { status: { phase } } : {}),
});
const template = {
  apiVersion: "resource.k8s.io/v1",
  kind: "ResourceClaimTemplate",
  metadata: { name: "gpus", namespace: "default" },
  spec: { metadata: { labels: { a: "b" } }, spec: { devices: {} } },
};
const claimOf = (consumers: string[], more: Partial<ResourceClaim["metadata"]> = {}): ResourceClaim => ({
  ...claimFrom(template, pod("a"), { name: "gpu" }),
  metadata: { name: "c", finalizers: [FINALIZER], ...more },
  status: {
    allocation: {},
    reservedFor: consumers.map((name) => ({ resource: "pods", name, uid: `uid-${name}` })),
  },
});

describe("a claim", () => {
  test("is named after its pod and what the pod calls it, shortened evenly", () => {
    equal(claimFrom(template, pod("a"), { name: "gpu" }).metadata.generateName, "a-gpu-");
    const long = claimFrom(template, pod("p".repeat(60)), { name: "c".repeat(20) }).metadata.generateName ?? "";
    equal(long.length <= 57, true);
  });

  test("keeps its devices while one of its pods may run, and gives them back after the last", () => {
    deepEqual(stepFor(claimOf(["a", "b"]), new Set(["uid-a", "uid-b"]), undefined), {});
    const one = stepFor(claimOf(["a", "b"]), new Set(["uid-b"]), undefined);
    deepEqual(
      one.status?.reservedFor?.map((c) => c.name),
      ["b"],
    );
    deepEqual([one.status?.allocation, one.finalizers], [{}, undefined]);
    deepEqual(stepFor(claimOf(["a"]), new Set(), undefined), { status: {}, finalizers: [] });
  });

  test("that nobody uses may end, and is deleted with the pod it was made for", () => {
    deepEqual(stepFor(claimOf([], { deletionTimestamp: "2026-01-01T00:00:00Z" }), new Set(), undefined), {
      status: {},
      finalizers: [],
    });
    const owner = { uid: "uid-a", pod: pod("a", "Succeeded") };
    equal(stepFor(claimOf([], { finalizers: [] }), new Set(), owner).remove, true);
    equal(stepFor(claimOf([], { finalizers: [] }), new Set(), { ...owner, pod: pod("a") }).remove, undefined);
    equal(stepFor(claimOf([], { finalizers: [] }), new Set(), { ...owner, pod: undefined }).remove, undefined);
  });
});

test("each pod that may run has one claim of its own, whatever happens on the way", async (t) => {
  await converges(t, {
    loops: [resourceClaimController],
    steps: [
      (client: Client) => client.create(RESOURCE_CLAIM_TEMPLATES, template),
      (client: Client) => client.create(PODS, pod("a")),
      (client: Client) => client.create(PODS, pod("b")),
      async (client: Client) => {
        const made = await client.create<Pod>(PODS, pod("done"));
        await client.update(PODS, { ...made, status: { phase: "Succeeded" } }, { subresource: "status" });
      },
    ],
    async view(client) {
      const claims = (await client.list<ResourceClaim>(RESOURCE_CLAIMS)).items;
      const pods = (await client.list<Pod>(PODS)).items;
      const names = new Map(claims.map((c) => [c.metadata.name, c.metadata.ownerReferences?.[0]?.name]));
      return {
        owners: [...names.values()].sort(),
        pods: pods
          .filter((p) => p.status?.phase !== "Succeeded")
          .map((p) => p.status?.resourceClaimStatuses?.map((s) => [s.name, names.get(s.resourceClaimName)]))
          .sort(),
      };
    },
    expected: { owners: ["a", "b"], pods: [[["gpu", "a"]], [["gpu", "b"]]] },
  });
});
