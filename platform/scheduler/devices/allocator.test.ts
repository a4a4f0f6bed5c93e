/** Given slices, classes and claims: which devices claims get on a node, and what is said where they get none. */
import { deepEqual, equal, throws } from "node:assert/strict";
import { describe, test } from "node:test";
import type {
  Device,
  DeviceClaim,
  DeviceClass,
  DeviceRequest,
  Node,
  ResourceClaim,
  ResourceSlice,
  ResourceSliceSpec,
} from "#sdk/api/generated/types.ts";
import { allocate } from "./allocator.ts";
import { createUseTable } from "./in-use.ts";
import { indexPools } from "./pools.ts";

const DRIVER = "gpu.example.com";
const node = (name: string, labels: Record<string, string> = {}): Node => ({
  apiVersion: "v1",
  kind: "Node",
  metadata: { name, labels },
});
const slice = (name: string, devices: Device[], spec: Partial<ResourceSliceSpec> = {}): ResourceSlice => ({
  apiVersion: "resource.k8s.io/v1",
  kind: "ResourceSlice",
  metadata: { name },
  spec: {
    driver: DRIVER,
    pool: { name: "pool", generation: 1, resourceSliceCount: 1 },
    ...(spec.allNodes || spec.nodeSelector || spec.perDeviceNodeSelection || spec.sharedCounters
      ? {}
      : { nodeName: "n1" }),
    ...(spec.sharedCounters ? {} : { devices }),
    ...spec,
  },
});
const device = (name: string, more: Partial<Device> = {}): Device => ({ name, ...more });
const gpu = (name: string, model: string, gigabytes: number, more: Partial<Device> = {}): Device => ({
  name,
  attributes: { model: { string: model }, index: { int: Number(name.slice(-1)) }, driverVersion: { version: "1.2.3" } },
  capacity: { memory: { value: `${gigabytes}Gi` } },
  ...more,
});
const CLASSES: Record<string, DeviceClass["spec"]> = {
  gpu: { selectors: [{ cel: { expression: `device.driver == "${DRIVER}"` } }] },
  configured: { config: [{ opaque: { driver: DRIVER, parameters: { mode: "fast" } } }] },
  broken: { selectors: [{ cel: { expression: `device.attributes["${DRIVER}"].nothing == "x"` } }] },
  none: { selectors: [{ cel: { expression: `"other.example.com" in device.attributes` } }] },
};
const classOf = (_: ResourceClaim, name: string): DeviceClass => {
  const spec = CLASSES[name];
  if (!spec) throw new Error(`could not retrieve device class ${name}`);
  return { apiVersion: "resource.k8s.io/v1", kind: "DeviceClass", metadata: { name }, spec };
};
const claim = (requests: DeviceRequest[], more: Partial<DeviceClaim> = {}): ResourceClaim => ({
  apiVersion: "resource.k8s.io/v1",
  kind: "ResourceClaim",
  metadata: { name: "claim", namespace: "default" },
  spec: { devices: { requests, ...more } },
});
const want = (more: Partial<NonNullable<DeviceRequest["exactly"]>> = {}, name = "req"): DeviceRequest => ({
  name,
  exactly: { deviceClassName: "gpu", allocationMode: "ExactCount", count: 1, ...more },
});
const cel = (expression: string) => ({ selectors: [{ cel: { expression } }] });
const attribute = (name: string) => `device.attributes["${DRIVER}"].${name}`;

interface Case {
  slices: ResourceSlice[];
  claims: ResourceClaim[];
  /** "pool/device" that somebody has. */
  used?: string[];
  on?: Node;
  /** Of each claim "request=device"; undefined: the node has not enough. */
  gets?: string[][];
}
const run = ({ slices, claims, used = [], on = node("n1") }: Case) => {
  const inUse = createUseTable();
  for (const id of used) {
    const [pool = "", name = ""] = id.split("/");
    inUse.put(id, { devices: { results: [{ request: "r", driver: DRIVER, pool, device: name }] } });
  }
  return allocate({ claims, node: on, pools: indexPools(slices), inUse, classOf });
};
const namesOf = (results: ReturnType<typeof run>) =>
  results?.map(({ devices }) => (devices?.results ?? []).map((r) => `${r.request}=${r.device}`));

const two = [slice("s", [gpu("d0", "a", 8), gpu("d1", "b", 16)])];
const tainted = [{ key: "broken", value: "yes", effect: "NoSchedule" }];

const cases: Record<string, Case> = {
  "the first device of the class is taken": { slices: two, claims: [claim([want()])], gets: [["req=d0"]] },
  "a device that another claim has is not": {
    slices: two,
    claims: [claim([want()])],
    used: ["pool/d0"],
    gets: [["req=d1"]],
  },
  "two claims of a pod get a device each": {
    slices: two,
    claims: [claim([want()]), claim([want()])],
    gets: [["req=d0"], ["req=d1"]],
  },
  "three devices are not had of two": { slices: two, claims: [claim([want({ count: 3 })])] },
  "an expression compares strings": {
    slices: two,
    claims: [claim([want(cel(`${attribute("model")} == "b"`))])],
    gets: [["req=d1"]],
  },
  "… integers": { slices: two, claims: [claim([want(cel(`${attribute("index")} > 0`))])], gets: [["req=d1"]] },
  "… quantities": {
    slices: two,
    claims: [claim([want(cel(`device.capacity["${DRIVER}"].memory.compareTo(quantity("10Gi")) >= 0`))])],
    gets: [["req=d1"]],
  },
  "… versions": {
    slices: two,
    claims: [claim([want(cel(`${attribute("driverVersion")}.isGreaterThan(semver("1.2.2"))`))])],
    gets: [["req=d0"]],
  },
  "a domain that the device says nothing of has no entries": {
    slices: two,
    claims: [claim([want(cel(`has(device.attributes["other.example.com"].x)`))])],
  },
  "a request that finds its device taken makes the one before it choose another": {
    slices: two,
    claims: [claim([want({}, "any"), want(cel(`${attribute("model")} == "a"`), "a")])],
    gets: [["any=d1", "a=d0"]],
  },
  "All takes every device that is selected": {
    slices: two,
    claims: [claim([want({ allocationMode: "All" })])],
    gets: [["req=d0", "req=d1"]],
  },
  "All waits while one of them is in use": {
    slices: two,
    claims: [claim([want({ allocationMode: "All" })])],
    used: ["pool/d1"],
  },
  "All of nothing is nothing": {
    slices: two,
    claims: [claim([want({ deviceClassName: "none", allocationMode: "All" })])],
  },
  "the first alternative that can be had is taken": {
    slices: two,
    claims: [
      claim([
        {
          name: "req",
          firstAvailable: [
            { name: "three", deviceClassName: "gpu", count: 3 },
            { name: "two", deviceClassName: "gpu", count: 2 },
            { name: "one", deviceClassName: "gpu", count: 1 },
          ],
        },
      ]),
    ],
    gets: [["req/two=d0", "req/two=d1"]],
  },
  "an earlier alternative gives way to a later request": {
    slices: two,
    claims: [
      claim([
        {
          name: "req",
          firstAvailable: [
            { name: "two", deviceClassName: "gpu", count: 2 },
            { name: "one", deviceClassName: "gpu", count: 1 },
          ],
        },
        want({}, "other"),
      ]),
    ],
    gets: [["req/one=d0", "other=d1"]],
  },
  "devices must have an attribute in common": {
    slices: [slice("s", [gpu("d0", "a", 8), gpu("d1", "b", 8), gpu("d2", "b", 8)])],
    claims: [claim([want({ count: 2 })], { constraints: [{ matchAttribute: `${DRIVER}/model` }] })],
    gets: [["req=d1", "req=d2"]],
  },
  "… in the requests that are named only": {
    slices: two,
    claims: [
      claim([want({}, "x"), want({}, "y")], { constraints: [{ requests: ["x"], matchAttribute: `${DRIVER}/model` }] }),
    ],
    gets: [["x=d0", "y=d1"]],
  },
  "… and one that lacks it is not taken": {
    slices: [slice("s", [device("d0"), gpu("d1", "a", 8)])],
    claims: [claim([want()], { constraints: [{ matchAttribute: `${DRIVER}/model` }] })],
    gets: [["req=d1"]],
  },
  "devices must differ in an attribute": {
    slices: [slice("s", [gpu("d0", "a", 8), gpu("d1", "a", 8), gpu("d2", "b", 8)])],
    claims: [claim([want({ count: 2 })], { constraints: [{ distinctAttribute: `${DRIVER}/model` }] })],
    gets: [["req=d0", "req=d2"]],
  },
  "a device of another node is out of reach": { slices: two, claims: [claim([want()])], on: node("n2") },
  "a selector of a slice chooses nodes": {
    slices: [
      slice("s", [device("d0")], {
        nodeSelector: { nodeSelectorTerms: [{ matchExpressions: [{ key: "zone", operator: "In", values: ["z"] }] }] },
      }),
    ],
    claims: [claim([want()])],
    on: node("n9", { zone: "z" }),
    gets: [["req=d0"]],
  },
  "devices may say themselves where they are": {
    slices: [
      slice("s", [device("d0", { nodeName: "n2" }), device("d1", { allNodes: true })], {
        perDeviceNodeSelection: true,
      }),
    ],
    claims: [claim([want()])],
    gets: [["req=d1"]],
  },
  "who looks after devices gets those that are in use": {
    slices: two,
    claims: [claim([want({ adminAccess: true, allocationMode: "All" })])],
    used: ["pool/d0", "pool/d1"],
    gets: [["req=d0", "req=d1"]],
  },
  "a tainted device is not taken": {
    slices: [slice("s", [device("d0", { taints: tainted }), device("d1")])],
    claims: [claim([want()])],
    gets: [["req=d1"]],
  },
  "… but by who tolerates it": {
    slices: [slice("s", [device("d0", { taints: tainted })])],
    claims: [claim([want({ tolerations: [{ key: "broken", operator: "Exists" }] })])],
    gets: [["req=d0"]],
  },
  "a slice of an older generation does not count": {
    slices: [
      slice("old", [device("d0")]),
      slice("new", [device("d1")], { pool: { name: "pool", generation: 2, resourceSliceCount: 1 } }),
    ],
    claims: [claim([want()])],
    gets: [["req=d1"]],
  },
  "nothing is taken of a pool whose slices are not all there": {
    slices: [slice("s", [device("d0")], { pool: { name: "pool", generation: 1, resourceSliceCount: 2 } })],
    claims: [claim([want()])],
  },
  "nothing is taken of a pool that has a name twice": {
    slices: [slice("s", [device("d0"), device("d0")])],
    claims: [claim([want()])],
  },
  "devices whose counters are used up are not taken": {
    slices: partitions(2),
    claims: [claim([want({ count: 2 })])],
    gets: [["req=half0", "req=half1"]],
  },
  "… by devices of others, either": { slices: partitions(2), claims: [claim([want()])], used: ["pool/whole"] },
  "a device that several may have is shared as far as its capacity goes": {
    slices: [slice("s", [device("d0", { allowMultipleAllocations: true, capacity: { memory: { value: "10Gi" } } })])],
    claims: [
      claim([want({ capacity: { requests: { memory: "6Gi" } } })]),
      claim([want({ capacity: { requests: { memory: "4Gi" } } })]),
    ],
    gets: [["req=d0"], ["req=d0"]],
  },
  "… and no further": {
    slices: [slice("s", [device("d0", { allowMultipleAllocations: true, capacity: { memory: { value: "10Gi" } } })])],
    claims: [
      claim([want({ capacity: { requests: { memory: "6Gi" } } })]),
      claim([want({ capacity: { requests: { memory: "5Gi" } } })]),
    ],
  },
};

/** One device of two halves, offered whole and in halves. */
function partitions(count: number): ResourceSlice[] {
  const pool = { name: "pool", generation: 1, resourceSliceCount: 2 };
  const uses = (value: string) => ({ consumesCounters: [{ counterSet: "memory", counters: { gb: { value } } }] });
  const halves = Array.from({ length: count }, (_, i) => device(`half${i}`, uses("5")));
  return [
    slice("counters", [], { pool, sharedCounters: [{ name: "memory", counters: { gb: { value: "10" } } }] }),
    slice("devices", [...halves, device("whole", uses("10"))], { pool }),
  ];
}

describe("devices for claims", () => {
  for (const [name, one] of Object.entries(cases)) {
    test(name, () => deepEqual(namesOf(run(one)), one.gets));
  }

  test("what holds the result to a node, and what the driver is told, is written with it", () => {
    const wanted = claim([want({ deviceClassName: "configured" })], {
      config: [{ requests: ["req"], opaque: { driver: DRIVER, parameters: { x: 1 } } }],
    });
    const [result] = run({ slices: [slice("s", [device("d0", { bindingConditions: ["ready"] })])], claims: [wanted] })!;
    deepEqual(result, {
      devices: {
        results: [{ request: "req", driver: DRIVER, pool: "pool", device: "d0", bindingConditions: ["ready"] }],
        config: [
          { source: "FromClass", requests: ["req"], opaque: { driver: DRIVER, parameters: { mode: "fast" } } },
          { source: "FromClaim", requests: ["req"], opaque: { driver: DRIVER, parameters: { x: 1 } } },
        ],
      },
      nodeSelector: {
        nodeSelectorTerms: [{ matchFields: [{ key: "metadata.name", operator: "In", values: ["n1"] }] }],
      },
    });
  });

  test("a share is named, and says what it takes, rounded as the device's policy says", () => {
    const policy = { validRange: { min: "2Gi", step: "2Gi" }, default: "2Gi" };
    const capacity = { memory: { value: "10Gi", requestPolicy: policy } };
    const slices = [slice("s", [device("d0", { allowMultipleAllocations: true, capacity })], { allNodes: true })];
    const [result] = run({ slices, claims: [claim([want({ capacity: { requests: { memory: "3Gi" } } })])] })!;
    const [entry] = result?.devices?.results ?? [];
    deepEqual(entry?.consumedCapacity, { memory: "4Gi" });
    equal(entry?.shareID?.length, 36);
    equal(result?.nodeSelector, undefined);
  });

  test("what cannot be used is told", () => {
    const says = (one: Case, message: string) => throws(() => run(one), { message });
    says(
      { slices: two, claims: [claim([want({ deviceClassName: "broken" })])] },
      "class broken: selector #0: CEL runtime error: no such key: nothing",
    );
    says(
      { slices: two, claims: [claim([want({ deviceClassName: "missing" })])] },
      "could not retrieve device class missing",
    );
    says(
      { slices: two, claims: [claim([want({ count: 33 })])] },
      "claim default/claim: number of requested devices 33 exceeds the claim limit of 32",
    );
    const updating = [slice("s", [device("d0")], { pool: { name: "pool", generation: 1, resourceSliceCount: 2 } })];
    says(
      { slices: updating, claims: [claim([want({ allocationMode: "All" })])] },
      `claim default/claim, request req: asks for all devices, but resource pool ${DRIVER}/pool is currently being updated`,
    );
  });

  test("a search that would not end is given up", () => {
    const many = slice(
      "s",
      Array.from({ length: 60 }, (_, i) => device(`d${i}`, { attributes: { n: { int: i } } })),
    );
    const match = { constraints: [{ requests: ["b"], matchAttribute: "other.example.com/none" }] };
    const hopeless = claim([want({ count: 20 }, "a"), want({}, "b")], match);
    throws(() => run({ slices: [many], claims: [hopeless] }), {
      message: "node n1: timed out trying to allocate devices",
    });
  });
});
