import assert from "node:assert/strict";
import { test } from "node:test";
import { resources } from "#sdk/api/facts.ts";
import { aggregatedVersion, discoveryResponse } from "./discovery.ts";

const served = resources().filter((r) =>
  ["pods", "deployments", "horizontalpodautoscalers", "plugins"].includes(r.resource),
);
const KUBECTL_ACCEPT =
  "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList;profile=nopeer,application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json";

function ask(path: string, accept = "application/json", ifNoneMatch?: string) {
  const answer = discoveryResponse(served, { path, accept, ifNoneMatch, serverAddress: "127.0.0.1:6443" });
  return answer && { ...answer, document: answer.body === "" ? undefined : JSON.parse(answer.body) };
}

test("clients that accept the aggregated form get it, others the classic one", () => {
  assert.equal(aggregatedVersion(KUBECTL_ACCEPT), "v2");
  assert.equal(aggregatedVersion("application/json, */*"), undefined);
  const answer = ask("/apis", KUBECTL_ACCEPT);
  assert.match(answer?.headers["content-type"] ?? "", /as=APIGroupDiscoveryList$/);
  assert.deepEqual(
    answer?.document.items.map((item: { metadata: { name: string } }) => item.metadata.name),
    ["apps", "autoscaling", "capstan.dev"],
  );
  assert.equal(ask("/apis", KUBECTL_ACCEPT, answer?.headers["etag"])?.code, 304);
});

test("the preferred version is the first in upstream's order", () => {
  const hpa = ask("/apis/autoscaling")?.document;
  assert.deepEqual(hpa.preferredVersion, { groupVersion: "autoscaling/v2", version: "v2" });
  assert.equal(hpa.versions.length, 2);
});

test("resource lists tell subresources with the kinds of other groups", () => {
  const list = ask("/api/v1")?.document;
  assert.deepEqual(
    list.resources.find((r: { name: string }) => r.name === "pods/eviction"),
    {
      name: "pods/eviction",
      singularName: "",
      namespaced: true,
      group: "policy",
      version: "v1",
      kind: "Eviction",
      verbs: ["create"],
    },
  );
});

test("only what is served is told", () => {
  assert.equal(ask("/apis/batch"), undefined);
  assert.equal(ask("/apis/apps/v2"), undefined);
  assert.equal(ask("/api/v1/pods"), undefined);
  assert.deepEqual(ask("/api/v1")?.document.resources[0].name, "pods");
  assert.equal(ask("/version")?.document.gitVersion, "v1.36.3");
});
