import assert from "node:assert/strict";
import { after, describe, test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { Node } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { mustRun } from "../host/program.ts";
import { nodes } from "../objects.ts";
import { cannotRunLab, createLab, until } from "../testing/lab.ts";
import { createObjectApi } from "../testing/objects.ts";
import { desiredRoutes, startRoutes } from "./routes.ts";

const node = (name: string, podCIDR: string, address: string): KubeObject => ({
  metadata: { name },
  ...{ spec: { podCIDR }, status: { addresses: [{ type: "InternalIP", address }] } },
});

test("every other node with a range of the cluster and an address has a route", () => {
  const all = [
    node("a", "10.244.0.0/24", "192.0.2.1"),
    node("b", "10.244.1.0/24", "192.0.2.2"),
    node("c", "", "192.0.2.3"),
    node("d", "10.9.0.0/24", "192.0.2.4"),
    node("e", "10.244.2.0/24", "192.0.2.5; reboot"),
  ] as Node[];
  assert.deepEqual([...desiredRoutes(all, "a", "10.244.0.0/16")], [["10.244.1.0/24", "192.0.2.2"]]);
});

const skip = await cannotRunLab();
describe("routes", { skip: skip ?? false }, () => {
  const lab = createLab();
  const stop = new AbortController();
  after(async () => {
    stop.abort();
    await lab.close();
  });

  test("come, move and go with nodes; others' routes stay", async () => {
    const { run } = await lab.namespace("routes");
    for (const args of [
      "link add up0 type veth peer name up1",
      "address add 192.0.2.1/24 dev up0",
      "link set up0 up",
      "link set up1 up",
      "route add 10.244.9.0/24 via 192.0.2.9",
    ])
      await mustRun(run, "ip", args.split(" "));
    const api = createObjectApi();
    await api.put(nodes, node("a", "10.244.0.0/24", "192.0.2.1"));
    await api.put(nodes, node("b", "10.244.1.0/24", "192.0.2.2"));
    const options = { client: api.client, log: silentLog, signal: stop.signal, run };
    const routes = startRoutes({ ...options, nodeName: "a", podCIDR: "10.244.0.0/16" });
    await routes.ready;
    const has = (text: string) => async () =>
      (await mustRun(run, "ip", ["-4", "route", "show", "root", "10.244.0.0/16"]))
        .split("\n")
        .map((line) => line.split(" ").slice(0, 3).join(" "))
        .filter((line) => line !== "")
        .sort()
        .join("; ") === text;
    const other = "10.244.9.0/24 via 192.0.2.9";
    await until("there", has(`10.244.1.0/24 via 192.0.2.2; ${other}`));
    await api.put(nodes, node("b", "10.244.1.0/24", "192.0.2.7"));
    await until("moved", has(`10.244.1.0/24 via 192.0.2.7; ${other}`));
    await api.remove(nodes, node("b", "", ""));
    await until("gone", has(other));
    stop.abort();
    await routes.stopped;
  });
});
