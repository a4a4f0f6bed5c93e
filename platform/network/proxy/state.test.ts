import assert from "node:assert/strict";
import { test } from "node:test";
import { RuleParts } from "../nft/parts.ts";
import type { EndpointSlice, Service } from "../objects.ts";
import { type Fragment, type ProxySettings, renderBase, renderService, SHARED_SETS } from "./render.ts";
import { udpChanges } from "./state.ts";

const settings: ProxySettings = {
  table: "t",
  nodeName: "node-1",
  bridge: "b",
  nodePodCIDR: "10.244.0.0/24",
  podCIDR: "10.244.0.0/16",
  serviceCIDR: "10.96.0.0/16",
  bridgeFilter: true,
};
const service = (name: string, clusterIP: string, spec: Service["spec"] = {}): Service => ({
  metadata: { name, namespace: "default" },
  spec: { clusterIP, ports: [{ port: 80 }], ...spec },
});
const slice = (addresses: string[], protocol: "TCP" | "UDP" = "TCP"): EndpointSlice => ({
  metadata: { name: "s", namespace: "default" },
  addressType: "IPv4",
  ports: [{ port: 8080, protocol }],
  endpoints: addresses.map((address) => ({ addresses: [address], nodeName: "node-1" })),
});
const rules = () => new RuleParts<Fragment>("ip t", SHARED_SETS);
const set = (state: RuleParts<Fragment>, updates: Record<string, ReturnType<typeof renderService>>) => {
  const changes = new Map(Object.entries(updates));
  const change = state.change(changes);
  change.commit();
  return { ...change, udp: udpChanges(changes, change.before) };
};

test("an unchanged service costs no script", () => {
  const state = rules();
  const web = () => renderService(service("web", "10.96.0.1"), [slice(["10.244.0.5"])], settings);
  assert.match(set(state, { "root/default/web": web() }).script, /add element ip t service-ips/);
  assert.equal(set(state, { "root/default/web": web() }).script, "");
});

test("a change of endpoints rewrites one chain and touches no other service", () => {
  const state = rules();
  set(state, {
    "root/default/a": renderService(service("a", "10.96.0.1"), [slice(["10.244.0.5"])], settings),
    "root/default/b": renderService(service("b", "10.96.0.2"), [slice(["10.244.0.5"])], settings),
  });
  const { script } = set(state, {
    "root/default/a": renderService(service("a", "10.96.0.1"), [slice(["10.244.0.6"])], settings),
  });
  assert.doesNotMatch(script, /default\/b|10\.96\.0\.2/);
  assert.match(script, /flush chain ip t svc-\S+\/root\/default\/a\/tcp\/80/);
  // b still has an endpoint at .5 on this node: its hairpin element stays.
  assert.doesNotMatch(script, /delete element/);
  assert.match(script, /add element ip t hairpin \{ 10\.244\.0\.6 \. 10\.244\.0\.6 \}/);
});

test("an element that two services want passes to the other when its owner goes", () => {
  const state = rules();
  const shared = (name: string, ip: string) =>
    renderService(service(name, ip, { externalIPs: ["192.0.2.9"] }), [slice(["10.244.0.5"])], settings);
  set(state, { "root/default/a": shared("a", "10.96.0.1"), "root/default/b": shared("b", "10.96.0.2") });
  const { script } = set(state, { "root/default/a": undefined });
  assert.match(script, /delete element ip t service-ips \{[^}]*192\.0\.2\.9 \. tcp \. 80 : goto ext-\S+\/default\/a\//);
  assert.match(script, /add element ip t service-ips \{[^}]*192\.0\.2\.9 \. tcp \. 80 : goto ext-\S+\/default\/b\//);
});

test("endpoints that a UDP service loses, and its first ones, are told", () => {
  const state = rules();
  const dns = (addresses: string[]) =>
    renderService(
      service("dns", "10.96.0.3", { ports: [{ port: 53, protocol: "UDP" }] }),
      [slice(addresses, "UDP")],
      settings,
    );
  assert.deepEqual(set(state, { k: dns(["10.244.0.5", "10.244.0.6"]) }).udp, [
    { service: "10.96.0.3:53", gone: [], first: true },
  ]);
  assert.deepEqual(set(state, { k: dns(["10.244.0.6"]) }).udp, [
    { service: "10.96.0.3:53", gone: ["10.244.0.5:8080"], first: false },
  ]);
});

test("terminating endpoints serve only when nobody else does; another node's are not local", () => {
  const endpoints = [
    { addresses: ["10.244.0.5"], conditions: { ready: false, serving: true, terminating: true }, nodeName: "node-1" },
    { addresses: ["10.244.1.5"], conditions: { ready: true }, nodeName: "node-2" },
  ];
  const render = (list: typeof endpoints, spec: Service["spec"] = {}) =>
    [
      ...(renderService(
        service("web", "10.96.0.1", spec),
        [{ ...slice([]), endpoints: list }],
        settings,
      )?.ruleset.chains.values() ?? []),
    ]
      .flatMap((chain) => chain.rules)
      .join("\n");
  assert.match(render(endpoints), /dnat to 10\.244\.1\.5:8080/);
  assert.doesNotMatch(render(endpoints), /10\.244\.0\.5/);
  assert.match(render(endpoints.slice(0, 1)), /dnat to 10\.244\.0\.5:8080/);
  assert.match(render(endpoints, { internalTrafficPolicy: "Local" }), /dnat to 10\.244\.0\.5:8080/);
});

test("what the API's user writes cannot leave its place in a script", () => {
  const hostile = "10.0.0.1; delete table ip t";
  const found = renderService(
    service("x", "10.96.0.9", { externalIPs: [hostile], loadBalancerSourceRanges: [hostile], type: "LoadBalancer" }),
    [slice([hostile])],
    settings,
  );
  const state = rules();
  const { script } = set(state, { x: found });
  assert.doesNotMatch(script, /delete table/);
  assert.equal(renderService(service("x", "None"), [], settings), undefined);
  assert.ok(state.all(renderBase(settings)).chains.has("services"));
});

test("hints choose endpoints of the node, or of its zone, where every ready endpoint has one and one is for here", () => {
  const hinted = (n: number, zone: string | undefined, node?: string) => ({
    addresses: [`10.244.1.${n}`],
    nodeName: "node-2",
    hints: {
      ...(zone ? { forZones: [{ name: zone }] } : {}),
      ...(node ? { forNodes: [{ name: node }] } : {}),
    },
  });
  const chosen = (endpoints: ReturnType<typeof hinted>[], zone = "a") => {
    const where = { zone, usable: () => true };
    const found = renderService(service("web", "10.96.0.1"), [{ ...slice([]), endpoints }], settings, where);
    const rules = [...(found?.ruleset.chains.values() ?? [])].flatMap((chain) => chain.rules).join("\n");
    return [...new Set(rules.match(/10\.244\.1\.\d/g) ?? [])].map((address) => address.slice(-1)).join("");
  };
  assert.equal(chosen([hinted(1, "a"), hinted(2, "b"), hinted(3, "a")]), "13");
  assert.equal(chosen([hinted(1, "a"), hinted(2, undefined)]), "12");
  assert.equal(chosen([hinted(1, "b"), hinted(2, "b")]), "12");
  assert.equal(chosen([hinted(1, "b"), hinted(2, "b")], ""), "12");
  assert.equal(chosen([hinted(1, "a", "node-1"), hinted(2, "a", "node-2")]), "1");
  assert.equal(chosen([hinted(1, "b", "node-3"), hinted(2, "a", "node-2")]), "2");
});

test("an endpoint that is another tenant's pod is as if it were not there", () => {
  const where = { zone: "", usable: (address: string) => address !== "10.244.0.6" };
  const found = renderService(service("web", "10.96.0.1"), [slice(["10.244.0.5", "10.244.0.6"])], settings, where);
  const rules = [...(found?.ruleset.chains.values() ?? [])].flatMap((chain) => chain.rules).join("\n");
  assert.match(rules, /dnat to 10\.244\.0\.5:8080/);
  assert.doesNotMatch(rules, /10\.244\.0\.6/);
});

test("a tenant's kubernetes service has root's address and no rules of its own, whatever the tenant makes of it", () => {
  const annotations = { "capstan.dev/tenant": "acme" };
  const ofTenant = (one: Service): Service => ({ ...one, metadata: { ...one.metadata, annotations } });
  const mine = service("kubernetes", "10.96.0.1", { type: "NodePort", ports: [{ port: 443, nodePort: 30_443 }] });
  const endpoints = [slice(["10.244.0.5"])];
  assert.equal(renderService(ofTenant(mine), endpoints, settings), undefined);
  assert.notEqual(renderService(mine, endpoints, settings), undefined);
  assert.notEqual(renderService(ofTenant(service("web", "10.96.7.7")), endpoints, settings), undefined);
});
