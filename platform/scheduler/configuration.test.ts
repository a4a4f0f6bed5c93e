import { deepEqual, equal, throws } from "node:assert/strict";
import test from "node:test";
import { parseConfiguration } from "./configuration.ts";
import { noPlugins } from "./framework.ts";
import { filterOf, scoreOf } from "./testing.ts";

const head = { apiVersion: "kubescheduler.config.k8s.io/v1", kind: "KubeSchedulerConfiguration" };
const filter = (name: string) => filterOf({ name, evaluate: async () => [] });
const score = (name: string, weight: number) => scoreOf({ name, weight, score: async () => [] });
const all = {
  ...noPlugins,
  filters: () => [filter("taints"), filter("node-resources"), filter("mine")],
  scores: () => [score("node-resources", 1), score("topology-spread", 2)],
};
const namesOf = (plugins: readonly { name: string }[]) => plugins.map(({ name }) => name);

test("without profiles there is one with everything, and upstream's back-off", () => {
  const { profiles, queue } = parseConfiguration(head);
  deepEqual([profiles.length, profiles[0]?.schedulerName], [1, "default-scheduler"]);
  deepEqual(namesOf(profiles[0]!.plugins(all).filters("root")), ["taints", "node-resources", "mine"]);
  deepEqual(queue, { firstBackoffMs: 1000, lastBackoffMs: 10_000 });
});

test("profiles turn upstream's plugins and our own on and off, and weigh them", () => {
  const plugins = {
    filter: { disabled: [{ name: "TaintToleration" }, { name: "mine" }] },
    score: { disabled: [{ name: "*" }], enabled: [{ name: "PodTopologySpread", weight: 7 }] },
  };
  const { profiles } = parseConfiguration({
    ...head,
    percentageOfNodesToScore: 30,
    profiles: [{ plugins }, { schedulerName: "all", percentageOfNodesToScore: 100 }],
  });
  const chosen = profiles[0]!.plugins(all);
  deepEqual(namesOf(chosen.filters("root")), ["node-resources"]);
  deepEqual(namesOf(chosen.scores("root")), ["topology-spread"]);
  equal(chosen.weightOf?.(chosen.scores("root")[0]!), 7);
  deepEqual(
    profiles.map(({ search }) => search.percentageOfNodesToScore),
    [30, 100],
  );
});

test("a plugin turned off everywhere can be on at one point", () => {
  const plugins = { multiPoint: { disabled: [{ name: "*" }] }, filter: { enabled: [{ name: "NodeResourcesFit" }] } };
  const chosen = parseConfiguration({ ...head, profiles: [{ plugins }] }).profiles[0]!.plugins(all);
  deepEqual([namesOf(chosen.filters("root")), namesOf(chosen.scores("root"))], [["node-resources"], []]);
});

test("what cannot be done is refused by name", () => {
  throws(() => parseConfiguration({ ...head, apiVersion: "v1" }), /apiVersion/);
  throws(() => parseConfiguration({ ...head, profiles: [{}, {}] }), /default-scheduler is there twice/);
  throws(() => parseConfiguration({ ...head, extenders: [{}] }), /extenders are not called/);
  const pluginConfig = [{ name: "NodeResourcesFit", args: {} }];
  throws(() => parseConfiguration({ ...head, profiles: [{ pluginConfig }] }), /kubectl patch plugin node-resources/);
  throws(() => parseConfiguration({ ...head, podInitialBackoffSeconds: 20 }), /podMaxBackoffSeconds/);
});
