import { deepEqual } from "node:assert/strict";
import test from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { Pod, PodSpec } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { createFakeApi } from "#sdk/testing/fake-api.ts";
import { createDefaultSelectors } from "./default-selector.ts";

const podOf = (kind?: string, name?: string, spec: Partial<PodSpec> = {}): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: {
    namespace: "default",
    name: "p",
    labels: { app: "web", tier: "front", version: "2" },
    ...(kind && name
      ? {
          ownerReferences: [
            { apiVersion: kind === "ReplicationController" ? "v1" : "apps/v1", kind, name, uid: "u", controller: true },
          ],
        }
      : {}),
  },
  spec: { containers: [], ...spec },
});

test("a pod is spread among those that its services and its controller select, and by nothing where it asks for its own spreading", async (t) => {
  const api = createFakeApi();
  const make = (group: string, resource: string, name: string, spec: object, namespace = "default") =>
    api.client.create<KubeObject>({ group, version: "v1", resource }, {
      apiVersion: group ? `${group}/v1` : "v1",
      kind: "X",
      metadata: { name, namespace },
      spec,
    } as KubeObject);
  await make("", "services", "web", { selector: { app: "web" } });
  await make("", "services", "front", { selector: { tier: "front" } });
  await make("", "services", "other", { selector: { app: "db" } });
  await make("", "services", "by-hand", {});
  await make("", "services", "elsewhere", { selector: { version: "2" } }, "kube-system");
  const matchExpressions = [{ key: "version", operator: "In", values: ["2", "3"] }];
  await make("apps", "replicasets", "rs", { selector: { matchLabels: { app: "web" }, matchExpressions } });
  await make("apps", "statefulsets", "ss", { selector: { matchLabels: { version: "2" } } });
  await make("", "replicationcontrollers", "rc", { selector: { version: "2" } });
  const stop = new AbortController();
  t.after(() => stop.abort());
  const selectors = createDefaultSelectors(api.client, silentLog);
  await selectors.start(stop.signal);

  const services = { app: "web", tier: "front" };
  deepEqual(selectors.of(podOf()), { matchLabels: services });
  deepEqual(selectors.of(podOf("ReplicaSet", "rs")), { matchLabels: services, matchExpressions });
  deepEqual(selectors.of(podOf("StatefulSet", "ss")), { matchLabels: { ...services, version: "2" } });
  deepEqual(selectors.of(podOf("ReplicationController", "rc")), { matchLabels: { ...services, version: "2" } });
  deepEqual(selectors.of(podOf("ReplicaSet", "gone")), { matchLabels: services });
  deepEqual(selectors.of(podOf("Job", "rs")), { matchLabels: services });
  const constraint = { maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "DoNotSchedule" };
  deepEqual(selectors.of(podOf("ReplicaSet", "rs", { topologySpreadConstraints: [constraint] })), undefined);

  const alone = podOf();
  alone.metadata.namespace = "empty";
  deepEqual(selectors.of(alone), undefined);
});
