import assert from "node:assert/strict";
import { test } from "node:test";
import { resources } from "#sdk/api/facts.ts";
import type { ResourceSlice, ResourceSliceSpec } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { RequestContext } from "../../registry/strategy.ts";
import type { Device } from "./slice-devices.ts";
import { resourceSliceStrategy, validateSlice } from "./slices.ts";

const slice = (spec: Partial<ResourceSliceSpec>): ResourceSlice => ({
  metadata: { name: "s" },
  spec: {
    driver: "d.example.org",
    nodeName: "n",
    pool: { name: "p", generation: 1, resourceSliceCount: 1 },
    ...spec,
  },
});
const told = (now: ResourceSlice, old?: ResourceSlice) =>
  validateSlice(now, old).map(({ field, message }) => `${field}: ${message}`);
const device = (fields: Partial<Device>) => slice({ devices: [{ name: "x", ...fields }] });

test("a device's attributes have one value each and names that can be", () => {
  assert.deepEqual(told(device({ attributes: { model: { string: "a" }, "example.org/cores": { int: 3 } } })), []);
  assert.deepEqual(told(device({ attributes: { two: { string: "a", int: 3 } } })), [
    'spec.devices[0].attributes[two]: Invalid value: {"IntValue":3,"BoolValue":null,"StringValue":"a","VersionValue":null,"IntValues":null,"BoolValues":null,"StringValues":null,"VersionValues":null}: exactly one value must be specified',
  ]);
  assert.deepEqual(told(device({ attributes: { "/x": { version: "1" } } })), [
    'spec.devices[0].attributes: Invalid value: "": the domain must not be empty',
    'spec.devices[0].attributes[/x].version: Invalid value: "1": must be a string compatible with semver.org spec 2.0.0',
  ]);
});

test("a long key is cut in its middle where a path names it", () => {
  const cause = told(device({ attributes: { [`${"a".repeat(100)}${"b".repeat(100)}`]: {} } })).at(-1);
  assert.equal(
    cause,
    `spec.devices[0].attributes[${"a".repeat(47)}...${"b".repeat(46)}]: Invalid value: "": exactly one value must be specified`,
  );
});

test("conditions of binding come together and apart from each other", () => {
  assert.deepEqual(told(device({ bindingFailureConditions: ["broken"] })), [
    "spec.devices[0].bindingConditions: Invalid value: null: bindingConditions are required to use bindingFailureConditions",
  ]);
  assert.deepEqual(told(device({ bindingConditions: ["a"], bindingFailureConditions: ["a", "a"] })), [
    'spec.devices[0].bindingFailureConditions[0]: Invalid value: "a": bindingFailureConditions must not overlap with bindingConditions',
    'spec.devices[0].bindingFailureConditions[1]: Duplicate value: "a"',
    'spec.devices[0].bindingFailureConditions[1]: Invalid value: "a": bindingFailureConditions must not overlap with bindingConditions',
  ]);
});

test("what may be asked of a shared capacity fits into it", () => {
  const capacity = (requestPolicy: object, shared = true) =>
    device({ allowMultipleAllocations: shared, capacity: { memory: { value: "10Gi", requestPolicy } } });
  const at = "spec.devices[0].capacity[memory].requestPolicy";
  assert.deepEqual(told(capacity({ default: "1Gi", validRange: { min: "1Gi", max: "10Gi", step: "1Gi" } })), []);
  assert.deepEqual(told(capacity({}, false)), [`${at}: Forbidden: allowMultipleAllocations must be true`]);
  assert.deepEqual(told(capacity({ default: "3Gi", validValues: ["2Gi", "1Gi", "20Gi"] })), [
    `${at}.validValues[1]: Invalid value: "1Gi": values must be sorted in ascending order`,
    `${at}.validValues[2]: Invalid value: "20Gi": option is larger than capacity value: 10Gi`,
    `${at}.validValues: Invalid value: "3Gi": default value is not valid according to the requestPolicy`,
  ]);
  assert.deepEqual(told(capacity({ default: "3Gi", validRange: { min: "2Gi", step: "2Gi" } })), [
    `${at}.validRange.step: Invalid value: "3Gi": value is not a multiple of a given step (2Gi) from (2Gi)`,
  ]);
});

test("driver, pool and node stay; a device's taints are judged when they change", () => {
  const tainted = device({ taints: [{ key: "-", effect: "Odd" }] });
  assert.equal(told(tainted).length, 2);
  assert.deepEqual(told(tainted, tainted), []);
  assert.deepEqual(told(slice({ driver: "e.example.org", nodeName: "m" }), slice({})), [
    'spec.driver: Invalid value: "e.example.org": field is immutable',
    'spec.nodeName: Invalid value: "m": field is immutable',
  ]);
});

test("fields of features that are off are dropped", () => {
  const facts = resources().find(({ resource }) => resource === "resourceslices");
  assert.ok(facts);
  const sent = device({
    attributes: { a: { ints: [1], int: 1 } },
    nodeAllocatableResourceMappings: { cpu: { capacityKey: "a" } },
  });
  resourceSliceStrategy(facts).prepareForCreate?.(sent as unknown as DynamicObject, {} as RequestContext);
  assert.deepEqual(sent, device({ attributes: { a: { int: 1 } } }));
});
