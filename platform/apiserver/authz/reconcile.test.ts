import assert from "node:assert/strict";
import { test } from "node:test";
import type { DynamicObject } from "#sdk/api/object.ts";
import { reconciled } from "./reconcile.ts";

const role = (rules: object[], more: object = {}, annotations: Record<string, string> = {}): DynamicObject =>
  ({ metadata: { name: "r", annotations }, rules, ...more }) as DynamicObject;
const pods = (...verbs: string[]) => ({ apiGroups: [""], resources: ["pods"], verbs });

test("missing rules, labels and annotations are added; additions and changed labels stay", () => {
  const present = {
    ...role([pods("get"), pods("delete")]),
    metadata: { name: "r", labels: { a: "mine" } },
  } as DynamicObject;
  const wanted = {
    ...role([pods("get", "list")]),
    metadata: { name: "r", labels: { a: "x", b: "y" } },
  } as DynamicObject;
  const next = reconciled(present, wanted);
  assert.deepEqual(next?.metadata.labels, { a: "mine", b: "y" });
  assert.deepEqual((next as unknown as { rules: unknown })?.rules, [pods("get"), pods("delete"), pods("list")]);
  assert.equal(reconciled(next as DynamicObject, wanted), undefined);
});

test("what says that it is not updated is left alone", () => {
  const off = { "rbac.authorization.kubernetes.io/autoupdate": "false" };
  assert.equal(reconciled(role([], {}, off), role([pods("get")])), undefined);
});

test("aggregation is added, kept with a person's selectors, and taken out where none should be", () => {
  const selects = (key: string) => ({ matchLabels: { [key]: "true" } });
  const wanted = role([], { aggregationRule: { clusterRoleSelectors: [selects("a")] } });
  const next = reconciled(role([], { aggregationRule: { clusterRoleSelectors: [selects("mine")] } }), wanted);
  assert.deepEqual((next as unknown as { aggregationRule: unknown }).aggregationRule, {
    clusterRoleSelectors: [selects("mine"), selects("a")],
  });
  const plain = reconciled(wanted, role([pods("get")]));
  assert.equal((plain as unknown as { aggregationRule?: unknown }).aggregationRule, undefined);
});

test("a binding gets its missing subjects, and one of another role stays what it is", () => {
  const binding = (name: string, ...subjects: object[]): DynamicObject =>
    ({ metadata: { name: "b" }, roleRef: { kind: "ClusterRole", name }, subjects }) as unknown as DynamicObject;
  const user = (name: string) => ({ kind: "User", name });
  const next = reconciled(binding("r", user("mine")), binding("r", user("a")));
  assert.deepEqual((next as unknown as { subjects: unknown }).subjects, [user("mine"), user("a")]);
  assert.equal(reconciled(binding("other"), binding("r", user("a"))), undefined);
  assert.equal(reconciled(binding("r", user("a"), user("b")), binding("r", user("a"))), undefined);
});
