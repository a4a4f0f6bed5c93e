import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { ProxyDelta } from "#sdk/plugin/types.ts";
import type { EndpointSlice, Service } from "../objects.ts";
import { toldOf } from "./component.ts";
import { Handover } from "./handover.ts";

const PLACE = { nodeName: "here", zone: "a" };
const service = (name: string, ports: string[]): Service => ({
  metadata: { name, namespace: "default" },
  spec: { clusterIP: "10.0.0.1", ports: ports.map((port, i) => ({ name: port, port: 80 + i })) },
});

/** A component that keeps what it is told as the contract says, and refuses when it is asked to. */
function setUp() {
  const services = new Map<string, Service>([["web", service("web", ["http", "admin"])]]);
  const seen: ProxyDelta[] = [];
  const known = new Set<string>();
  const parts = { name: undefined as string | undefined, refusing: 0, told: 0, served: [] as boolean[] };
  let changed: () => void = () => undefined;
  let notice: () => void = () => undefined;
  const stop = new AbortController();
  const handover: Handover = new Handover({
    component: {
      current: () => parts.name,
      onChange: (listener) => {
        changed = listener;
      },
      startsWith: () => undefined,
      async render(delta) {
        if (parts.refusing-- > 0) throw new Error("not now");
        if (delta.whole) known.clear();
        for (const id of delta.removed) known.delete(id);
        for (const { id } of delta.services) known.add(id);
        seen.push(delta);
        notice();
      },
      addresses: async () => void parts.told++,
    },
    keys: () => services.keys(),
    told: (key) => toldOf(services.get(key) ?? { metadata: {} }, [], PLACE, () => true),
    changed: () => void parts.served.push(handover.serves),
    addresses: () => ["192.0.2.1"],
    log: silentLog,
    signal: stop.signal,
  });
  return {
    services,
    seen,
    known,
    parts,
    handover,
    use(name: string | undefined) {
      parts.name = name;
      changed();
    },
    /** Resolves when the component knows these ports and no other. */
    async until(...ids: string[]) {
      while ([...known].sort().join() !== ids.sort().join())
        await new Promise<void>((resolve) => {
          notice = resolve;
        });
    },
    async end(running: Promise<void>) {
      stop.abort();
      await running;
    },
  };
}

test("one that comes is told everything, then what changed, and another version everything again", async () => {
  const { services, seen, parts, handover, use, until, end } = setUp();
  const running = handover.run();
  assert.equal(handover.serves, false);
  use("first");
  await until("default/web:http", "default/web:admin");
  services.set("late", service("late", [""]));
  handover.touch("late");
  await until("default/web:http", "default/web:admin", "default/late:");
  services.set("web", service("web", ["http"]));
  handover.touch("web");
  await until("default/web:http", "default/late:");
  assert.deepEqual(
    seen.map(({ whole, services: told, removed }) => [whole, told.length, removed]),
    [
      [true, 2, []],
      [false, 1, []],
      [false, 1, ["default/web:admin"]],
    ],
  );
  seen.length = 0;
  services.delete("late");
  use("second");
  await until("default/web:http");
  assert.deepEqual(
    seen.map(({ whole }) => whole),
    [true],
  );
  assert.deepEqual([parts.told, parts.served], [2, [true]]);
  await end(running);
});

test("what it refuses is told again, with what has gone since", async (t) => {
  t.mock.timers.enable({ apis: ["setTimeout"] });
  const { services, parts, handover, use, until, end } = setUp();
  const running = handover.run();
  const clock = setInterval(() => t.mock.timers.tick(500), 1);
  t.after(() => clearInterval(clock));
  use("one");
  await until("default/web:http", "default/web:admin");
  parts.refusing = 2;
  services.delete("web");
  services.set("late", service("late", [""]));
  handover.touch("web");
  handover.touch("late");
  await until("default/late:");
  use(undefined);
  while (handover.serves) await new Promise((resolve) => setImmediate(resolve));
  assert.deepEqual(parts.served, [true, false]);
  await end(running);
});

test("endpoints are told once each, with what hints prefer", () => {
  const endpoint = (address: string, zone: string, ready = true) => ({
    addresses: [address],
    nodeName: address.endsWith("1") ? "here" : "there",
    conditions: { ready, serving: true, terminating: !ready },
    hints: { forZones: [{ name: zone }] },
  });
  const slice = (name: string, ...endpoints: ReturnType<typeof endpoint>[]): EndpointSlice => ({
    metadata: { name },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080 }],
    endpoints,
  });
  const slices = [
    slice("one", endpoint("10.1.0.1", "a"), endpoint("10.1.0.2", "b")),
    slice("two", endpoint("10.1.0.2", "b"), endpoint("10.1.0.3", "a", false), endpoint("10.9.0.1", "a")),
  ];
  const [[port, endpoints] = []] = toldOf(service("web", ["http"]), slices, PLACE, (a) => a.startsWith("10.1."));
  assert.deepEqual([port?.id, port?.clusterIps, port?.affinitySeconds], ["default/web:http", ["10.0.0.1"], 0]);
  assert.deepEqual(
    endpoints?.map((e) => [e.address, e.isLocal, e.ready, e.terminating, e.preferred]),
    [
      ["10.1.0.1", true, true, false, true],
      ["10.1.0.2", false, true, false, false],
      ["10.1.0.3", false, false, true, false],
    ],
  );
});
