import { equal } from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { Node } from "#sdk/api/generated/types.ts";
import { StatusError } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { EVENTS } from "#sdk/client/recorder.ts";
import { createFakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import { NODES } from "../resources.ts";
import { runControllers } from "../run.ts";
import { converges } from "../testing/converge.ts";
import { nodeIPAMController } from "./controller.ts";
import { freeNodeRange } from "./ranges.ts";

test("the last range that overlaps nobody's, and none when all are taken", () => {
  equal(freeNodeRange("10.244.0.0/16", []), "10.244.255.0/24");
  equal(freeNodeRange("10.244.0.0/16", ["10.244.255.0/24", "10.244.253.0/24"]), "10.244.254.0/24");
  equal(freeNodeRange("10.244.0.0/16", ["10.244.254.0/23"]), "10.244.253.0/24");
  equal(freeNodeRange("10.244.0.0/23", ["10.244.0.0/24", "10.244.1.0/24"]), undefined);
  equal(freeNodeRange("fd00::/56", []), "fd00:0:0:ff::/64");
  equal(freeNodeRange("fd00::/64", ["fd00::/80"]), undefined);
  equal(freeNodeRange("nonsense", []), undefined);
});

test("nodes without a range get one each, the others keep theirs", async (t) => {
  const node = (name: string, spec: Node["spec"] = {}): Node => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name },
    spec,
  });
  await converges(t, {
    loops: [nodeIPAMController],
    more: { podCIDRs: ["10.244.0.0/16"] },
    steps: [
      (client) => client.create(NODES, node("a", { podCIDR: "10.244.0.0/24", podCIDRs: ["10.244.0.0/24"] })),
      (client) => client.create(NODES, node("b")),
      (client) => client.create(NODES, node("c")),
    ],
    view: async (client) => (await client.list<Node>(NODES)).items.map((n) => n.spec?.podCIDR).sort(),
    expected: ["10.244.0.0/24", "10.244.254.0/24", "10.244.255.0/24"],
  });
});

test("in a cluster of two families a node gets a range of each", async (t) => {
  await converges(t, {
    loops: [nodeIPAMController],
    more: { podCIDRs: ["10.244.0.0/16", "fd00::/56"] },
    steps: [
      (client) => client.create(NODES, { apiVersion: "v1", kind: "Node", metadata: { name: "a" }, spec: {} }),
      (client) => client.create(NODES, { apiVersion: "v1", kind: "Node", metadata: { name: "b" }, spec: {} }),
    ],
    view: async (client) => (await client.list<Node>(NODES)).items.flatMap((n) => n.spec?.podCIDRs ?? []).sort(),
    expected: ["10.244.254.0/24", "10.244.255.0/24", "fd00:0:0:fe::/64", "fd00:0:0:ff::/64"],
  });
});

test("a node for which there was no range gets that of one that is gone", async (t) => {
  const rangesOf = async (client: Client) =>
    (await client.list<Node>(NODES)).items.flatMap(({ metadata, spec }) =>
      spec?.podCIDR ? [{ name: metadata.name ?? "", range: spec.podCIDR }] : [],
    );
  await converges(t, {
    loops: [nodeIPAMController],
    more: { podCIDRs: ["10.244.0.0/23"] },
    steps: [
      async (client) => {
        for (const name of ["a", "b", "c"])
          await client.create(NODES, { apiVersion: "v1", kind: "Node", metadata: { name }, spec: {} });
        await until(async () => (await rangesOf(client)).length === 2);
        const [first] = await rangesOf(client);
        await client.delete(NODES, { name: first?.name ?? "" });
      },
    ],
    view: async (client) => (await rangesOf(client)).map(({ range }) => range).sort(),
    expected: ["10.244.0.0/24", "10.244.1.0/24"],
  });
});

test("the range of a node that is gone before it was written is that of the next one that had none", async (t) => {
  const { client, intercept } = createFakeApi();
  const ends = new AbortController();
  t.after(() => ends.abort());
  const podCIDRs = ["10.244.0.0/24"];
  void runControllers([nodeIPAMController], { client, log: silentLog, signal: ends.signal, rootCA: "", podCIDRs });
  const rangeOf = async (name: string) => (await client.get<Node>(NODES, { name })).spec?.podCIDR;
  const refusals = async () => (await client.list(EVENTS)).items.length;
  const make = (name: string) => client.create(NODES, { apiVersion: "v1", kind: "Node", metadata: { name }, spec: {} });
  await make("first");
  await until(async () => (await rangeOf("first")) !== undefined);
  for (const [i, name] of ["second", "third"].entries()) {
    await make(name);
    await until(async () => (await refusals()) === i + 1);
  }
  intercept((verb, resource, { metadata }) => {
    if (verb !== "patch" || resource !== "nodes" || metadata.name !== "second") return;
    throw new StatusError(404, "NotFound", 'nodes "second" not found');
  });
  await client.delete(NODES, { name: "first" });
  await until(async () => (await rangeOf("third")) === "10.244.0.0/24");
});
