import assert from "node:assert/strict";
import { test } from "node:test";
import type { Log } from "#platform/base/log.ts";
import { Fairness } from "./fairness.ts";

const silent = { debug() {}, info() {}, warn() {}, error() {} } as unknown as Log;
const signal = new AbortController().signal;
const request = (tenant: number, name: string, groups: string[]) => ({
  user: { tenant, name, groups },
  isResource: true,
  verb: "list",
  path: "/api/v1/pods",
  group: "",
  resource: "pods",
  subresource: "",
  namespace: "",
});
const executing = (fairness: Fairness, level: string) =>
  fairness.metrics().get(`apiserver_flowcontrol_current_executing_requests{priority_level="${level}"}`);

test("upstream's defaults place masters, nodes, accounts and everybody else", async () => {
  const fairness = new Fairness(silent);
  const all = ["system:authenticated"];
  const cases = [
    ["exempt", "admin", ["system:masters", ...all]],
    ["system", "system:node:n", ["system:nodes", ...all]],
    ["workload-low", "system:serviceaccount:a:b", ["system:serviceaccounts", ...all]],
    ["global-default", "jane", all],
  ] as const;
  for (const [level, name, groups] of cases) {
    const place = await fairness.enter(request(1, name, [...groups]), signal);
    assert.equal(executing(fairness, level), 1, name);
    place.finish();
    place.finish();
    assert.equal(executing(fairness, level), 0, name);
  }
});

test("a master of another tenant is exempt from nothing", async () => {
  const fairness = new Fairness(silent);
  await fairness.enter(request(2, "admin", ["system:masters", "system:authenticated"]), signal);
  assert.equal(executing(fairness, "exempt"), 0);
  assert.equal(executing(fairness, "global-default"), 1);
});
