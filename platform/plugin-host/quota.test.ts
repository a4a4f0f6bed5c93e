import assert from "node:assert/strict";
import { test } from "node:test";
import { InstanceBudget } from "./budget.ts";
import { Instances, type Slot } from "./instances.ts";
import { DEFAULT_QUOTA, type Quota, quotaOf, TenantUse } from "./quota.ts";

const slotFor = (tenant: string): Slot => ({
  tenant,
  usedAt: 0,
  context: { tenant, hook: "h", deadlineAt: 0 },
  instance: {
    pure: false,
    cost: { micros: 0, memoryBytes: 0 },
    call: async () => undefined,
    discard: async () => undefined,
  },
});

function instancesOf(use: TenantUse, budget: InstanceBudget, fed: () => void = () => undefined) {
  return new Instances({ max: 10, memoryMiB: 100, kept: 0, budget, use, feed: fed });
}
const useOf = (tenant: string, quota: Partial<Quota> = {}) =>
  new TenantUse(tenant, () => ({ ...DEFAULT_QUOTA, ...quota }));

test("who has spent the tenant's CPU waits until it has come back, and root waits for nobody", () => {
  let now = 0;
  const use = new TenantUse(
    "acme",
    () => ({ ...DEFAULT_QUOTA, cpuMilliseconds: 100 }),
    () => now,
  );
  use.spent(200_000);
  assert.equal(use.cpuWaitMs(), 0, "two seconds of it may be spent at once");
  use.spent(50_000);
  assert.equal(use.cpuWaitMs(), 500);
  now += 500;
  assert.equal(use.cpuWaitMs(), 0);
  const root = useOf("root");
  root.spent(1e12);
  assert.equal(root.cpuWaitMs(), 0);
});

test("a tenant's quota is completed by the defaults", () => {
  assert.deepEqual(quotaOf(undefined), DEFAULT_QUOTA);
  assert.deepEqual(quotaOf({ count: 3 }), { ...DEFAULT_QUOTA, count: 3 });
});

test("memory is the tenant's: idle instances of its other plugins give way, those of another tenant do not", async () => {
  const budget = new InstanceBudget();
  const acme = useOf("acme", { memoryMiB: 200 });
  const [first, second] = [instancesOf(acme, budget), instancesOf(acme, budget)];
  const other = instancesOf(useOf("globex"), budget);
  const all = [first, first, other];
  for (const one of all) assert.equal(one.take("t"), "make");
  for (const one of all) one.putBack(slotFor("t"), true);
  second.take("t");
  await Promise.resolve();
  await new Promise(setImmediate);
  assert.equal(second.take("t"), "make");
  assert.deepEqual([first.live, second.live, other.live], [1, 1, 1]);
});

test("beyond the tenant's memory a call waits, and is told why", () => {
  const instances = instancesOf(useOf("acme", { memoryMiB: 100 }), new InstanceBudget());
  assert.equal(instances.take("t"), "make");
  assert.equal(instances.take("t"), undefined);
  assert.match(instances.lack, /memory quota of tenant acme/);
});

test("at the process' bound the instance that was idle for longest gives way, and who waits is told", async () => {
  const budget = new InstanceBudget(2);
  let fed = 0;
  const [idle, busy, wanting] = [
    instancesOf(useOf("a"), budget),
    instancesOf(useOf("b"), budget),
    instancesOf(useOf("c"), budget, () => fed++),
  ];
  idle.take("t");
  idle.putBack(slotFor("t"), true);
  busy.take("t");
  assert.equal(wanting.take("t"), undefined);
  await new Promise(setImmediate);
  assert.equal(idle.live, 0);
  assert.equal(fed, 1);
  assert.equal(wanting.take("t"), "make");
  assert.equal(budget.live, 2);
});
