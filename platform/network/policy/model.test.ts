import assert from "node:assert/strict";
import { test } from "node:test";
import type { NetworkPolicy } from "#sdk/api/generated/types.ts";
import { TENANT_ANNOTATION } from "#sdk/client/port.ts";
import type { Part } from "../nft/parts.ts";
import { compilePolicy } from "./compile.ts";
import { PolicyModel } from "./model.ts";
import { podFacts } from "./pods.ts";

const NODE = "node-1";
const pod = (
  name: string,
  address: string,
  more: { labels?: Record<string, string>; tenant?: string; node?: string } = {},
) => {
  const { labels = { app: name }, tenant = "root", node = NODE } = more;
  return podFacts({
    metadata: { name, namespace: "x", uid: `uid-${name}`, labels, annotations: { [TENANT_ANNOTATION]: tenant } },
    spec: { nodeName: node },
    status: { podIP: address },
  });
};
const policy = (spec: NetworkPolicy["spec"]): NetworkPolicy => ({ metadata: { name: "p", namespace: "x" }, spec });

function model() {
  const touched = new Set<string>();
  const owners = new Set<string | undefined>();
  const state = new PolicyModel(
    NODE,
    (part) => void touched.add(part),
    (address) => void owners.add(address),
  );
  const during = (change: () => void) => {
    touched.clear();
    owners.clear();
    change();
    return [...touched].sort();
  };
  return { state, during, owners };
}
const elements = (part: Part | undefined, set: string) => [...(part?.ruleset.sets.get(set)?.elements.keys() ?? [])];

test("a change concerns the parts that it changes, and nothing else", () => {
  const { state, during } = model();
  const a = pod("a", "10.0.0.1");
  assert.deepEqual(
    during(() => state.setPod(a.key, a)),
    ["address/10.0.0.1", "tenant/root"],
  );
  assert.deepEqual(
    during(() => state.setPod(a.key, pod("a", "10.0.0.1"))),
    [],
  );
  const far = pod("b", "10.0.1.1", { node: "node-2" });
  assert.deepEqual(
    during(() => state.setPod(far.key, far)),
    ["tenant/root"],
  );
  const spec = { podSelector: { matchLabels: { app: "a" } }, ingress: [{ from: [{ podSelector: {} }] }] };
  const added = during(() => state.setPolicy("root/x/p", policy(spec)));
  assert.deepEqual(
    added.map((part) => part.split("/")[0]),
    ["address", "peer", "policy"],
  );
  const [, peer = ""] = added;
  assert.deepEqual(elements(state.render(peer), peer.replace("/", "-")).sort(), ["10.0.0.1", "10.0.1.1"]);
  assert.deepEqual(
    during(() => state.setPod(far.key, undefined)),
    [peer, "tenant/root"].sort(),
  );
  assert.deepEqual(
    during(() => state.setPolicy("root/x/p", undefined)),
    added,
  );
  assert.equal(state.render(peer), undefined);
});

test("an address that is another tenant's is nothing to this one's services, until both are open", () => {
  const { state, owners, during } = model();
  const blue = pod("b", "10.0.0.2", { tenant: "blue" });
  during(() => state.setPod(blue.key, blue));
  assert.deepEqual([...owners], ["10.0.0.2"]);
  assert.deepEqual(
    ["root", "blue"].map((tenant) => state.mayReach(tenant, "10.0.0.2")),
    [false, true],
  );
  assert.equal(state.mayReach("root", "192.0.2.1"), true);
  state.setOpen("root", true);
  state.setOpen("blue", true);
  assert.equal(state.mayReach("root", "10.0.0.2"), true);
});

test("a pod that a machine runs by itself is the one that its image in the API shows", () => {
  const { state } = model();
  state.place({ key: "root/x/static", uid: "of-the-machine", tenant: "root", address: "10.0.0.3" });
  assert.deepEqual(elements(state.render("address/10.0.0.3"), "ingress-of"), ["10.0.0.3"]);
  const image = podFacts({
    metadata: {
      name: "static",
      namespace: "x",
      uid: "of-the-api",
      annotations: { "kubernetes.io/config.mirror": "of-the-machine" },
    },
    spec: { nodeName: NODE },
  });
  state.setPod(image.key, image);
  assert.deepEqual(elements(state.render("address/10.0.0.3"), "ingress-of"), []);
});

test("ports that overlap are one range; what a rule names twice is one set", () => {
  const spec = {
    podSelector: {},
    ingress: [
      { from: [{ podSelector: {} }], ports: [{ port: 80, endPort: 90 }, { port: 85, endPort: 100 }, { port: 101 }] },
      { from: [{ podSelector: {} }] },
    ],
  };
  const { ingress, egress, peers } = compilePolicy(policy(spec));
  assert.equal(peers.size, 1);
  assert.match(ingress?.[0] ?? "", /tcp dport \{ 80-101 \} accept$/);
  assert.equal(egress, undefined);
});

test("a policy type without rules isolates; without types egress counts where it has rules", () => {
  const of = (spec: NetworkPolicy["spec"]) => {
    const { ingress, egress } = compilePolicy(policy(spec));
    return [ingress, egress];
  };
  assert.deepEqual(of({ podSelector: {}, policyTypes: ["Ingress", "Egress"] }), [[], []]);
  assert.deepEqual(of({ podSelector: {} }), [[], undefined]);
  assert.deepEqual(of({ podSelector: {}, egress: [{}] }), [[], [" accept"]]);
});
