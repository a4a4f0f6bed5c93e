import { equal, match } from "node:assert/strict";
import { test } from "node:test";
import type { Pod, PodSpec } from "#sdk/api/generated/types.ts";
import { type Question, refusal, type Seen } from "./restriction.ts";

const ask = (more: Partial<Question>) =>
  refusal({
    user: "system:node:n1",
    operation: "UPDATE",
    resource: "pods",
    subresource: "",
    namespace: "ns",
    name: "p",
    object: undefined,
    before: undefined,
    pod: undefined,
    node: undefined,
    ...more,
  });
const on = (nodeName: string, more: Partial<Seen> = {}): Seen => ({
  metadata: { name: "p" },
  spec: { containers: [], nodeName },
  ...more,
});

test("a node reports on its own pods, and changes nothing else of them", () => {
  const status = { subresource: "status", before: on("n1") };
  equal(ask({ ...status, object: on("n1", { status: { phase: "Running" } }) }), undefined);
  match(ask({ ...status, before: on("n2"), object: on("n2") }) ?? "", /can only update pod status for pods/);
  const labelled = on("n1", { metadata: { name: "p", labels: { a: "b" } } });
  match(ask({ ...status, object: labelled }) ?? "", /cannot update labels through pod status/);
  match(ask({ object: on("n1"), before: on("n1") }) ?? "", /can only create and delete mirror pods/);
  equal(ask({ operation: "DELETE", before: on("n1") }), undefined);
  match(ask({ operation: "DELETE", before: on("n2") }) ?? "", /can only delete pods/);
  match(ask({ operation: "CREATE", subresource: "binding" }) ?? "", /unexpected pod subresource "binding"/);
});

test("a node evicts its own pods", () => {
  const pod = (nodeName: string): Pod => ({ metadata: {}, spec: { containers: [], nodeName } });
  equal(ask({ operation: "CREATE", subresource: "eviction", pod: pod("n1") }), undefined);
  equal(
    ask({ operation: "CREATE", subresource: "eviction", pod: pod("n2") }),
    "node n1 can only evict pods with spec.nodeName set to itself",
  );
});

const owner = { apiVersion: "v1", kind: "Node", name: "n1", uid: "u", controller: true };
const mirror = (spec: Partial<PodSpec> = {}, owners = [owner]): Partial<Question> => ({
  operation: "CREATE",
  node: { metadata: { uid: "u" } },
  object: {
    metadata: { name: "p", annotations: { "kubernetes.io/config.mirror": "x" }, ownerReferences: owners },
    spec: { containers: [], nodeName: "n1", ...spec },
  },
});

test("a node creates mirror pods of its own that lean on nothing of the API", () => {
  equal(ask(mirror()), undefined);
  match(ask({ operation: "CREATE", object: on("n1") }) ?? "", /can only create mirror pods/);
  match(ask(mirror({ nodeName: "n2" })) ?? "", /spec.nodeName set to itself/);
  match(ask(mirror({}, [])) ?? "", /an owner reference set to itself/);
  match(ask(mirror({}, [{ ...owner, uid: "v" }])) ?? "", /UID mismatch: expected v got u/);
  match(ask(mirror({ serviceAccountName: "a" })) ?? "", /can not create pods that reference serviceaccounts/);
  const claim: PodSpec["volumes"] = [{ name: "v", persistentVolumeClaim: { claimName: "c" } }];
  match(ask(mirror({ volumes: claim })) ?? "", /reference persistentvolumeclaims$/);
});

test("a node is its own, without taints and labels that decide what runs on it", () => {
  const node = (labels: Record<string, string>, more: object = {}): Seen => ({
    metadata: { name: "n1", labels },
    ...more,
  });
  const update = (object: Seen) => ask({ resource: "nodes", name: "n1", object, before: node({}) });
  equal(update(node({ "kubernetes.io/hostname": "n1", "node.kubernetes.io/x": "y", own: "z" })), undefined);
  equal(
    update(node({ "node-restriction.kubernetes.io/a": "b", "node-role.kubernetes.io/control-plane": "" })),
    "is not allowed to modify labels: node-restriction.kubernetes.io/a, node-role.kubernetes.io/control-plane",
  );
  match(update(node({}, { spec: { taints: [{ key: "k", effect: "NoSchedule" }] } })) ?? "", /modify taints/);
  match(ask({ resource: "nodes", name: "n2" }) ?? "", /not allowed to modify node "n2"/);
});

test("tokens are for pods on the node, leases and CSINodes of its name", () => {
  const token = (boundObjectRef?: object): Seen => ({ spec: { boundObjectRef } }) as unknown as Seen;
  const pod: Pod = { metadata: { uid: "u" }, spec: { containers: [], nodeName: "n1" } };
  const asked = { operation: "CREATE", resource: "serviceaccounts", subresource: "token", pod };
  equal(ask({ ...asked, object: token({ apiVersion: "v1", kind: "Pod", name: "p", uid: "u" }) }), undefined);
  equal(ask({ ...asked, object: token() }), "node requested token not bound to a pod");
  match(
    ask({ ...asked, object: token({ apiVersion: "v1", kind: "Pod", name: "p", uid: "w" }) }) ?? "",
    /does not match/,
  );
  equal(ask({ resource: "leases", namespace: "kube-node-lease", name: "n1" }), undefined);
  match(ask({ resource: "leases", namespace: "default", name: "n1" }) ?? "", /system namespace$/);
  match(ask({ resource: "csinodes", name: "n2" }) ?? "", /^can only access CSINode/);
});

test("a user among the nodes who is no node may nothing", () => {
  equal(ask({ user: "jane" }), 'could not determine node from user "jane"');
});
