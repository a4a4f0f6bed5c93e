import assert from "node:assert/strict";
import { test } from "node:test";
import { isReason } from "#sdk/api/status.ts";
import { denial } from "../authz/authorizer.ts";
import { asked } from "../authz/testing.ts";
import { impersonate, wantedUser } from "./impersonation.ts";

/** Allows what is among `grants`, each "VERB GROUP/RESOURCE[/SUBRESOURCE] NAME"; answers what was asked too. */
function as(name: string, headers: string[], grants: string[], extra?: Record<string, string[]>) {
  const questions: string[] = [];
  const attributes = asked("list", {}, { name });
  if (extra) attributes.user = { ...attributes.user, extra };
  const wanted = wantedUser(headers);
  assert.ok(wanted);
  const acting = impersonate({
    user: attributes.user,
    wanted,
    tenant: 1,
    attributes,
    constrained: true,
    async authorize(a) {
      const { group = "", resource = "", subresource = "", name: object = "" } = a.resource ?? {};
      const question = `${a.verb} ${group}/${resource}${subresource ? `/${subresource}` : ""} ${object}`.trim();
      questions.push(question);
      if (!grants.includes(question)) throw denial(a);
    },
  });
  return { acting, questions };
}

test("the old verb allows a user, groups, uid and extras, each by name", async () => {
  const { acting } = as(
    "a1",
    [
      "Impersonate-User",
      "bob",
      "Impersonate-Group",
      "dev, ops",
      "Impersonate-Uid",
      "7",
      "Impersonate-Extra-acme.io%2Fx",
      "y",
    ],
    [
      "impersonate /users bob",
      "impersonate /groups dev, ops",
      "impersonate authentication.k8s.io/uids 7",
      "impersonate authentication.k8s.io/userextras/acme.io/x y",
    ],
  );
  assert.deepEqual(await acting, {
    user: {
      tenant: 1,
      name: "bob",
      uid: "7",
      groups: ["dev, ops", "system:authenticated"],
      extra: { "acme.io/x": ["y"] },
    },
  });
});

test("a denial names the verb of constrained impersonation on what was asked", async () => {
  const { acting, questions } = as("a2", ["Impersonate-User", "bob"], []);
  await assert.rejects(acting, {
    message:
      'pods is forbidden: User "a2" cannot impersonate-on:user-info:list resource "pods" in API group "" in the namespace "default"',
  });
  assert.deepEqual(questions, ["impersonate-on:user-info:list /pods", "impersonate /users bob"]);
});

test("constrained: a user by the verbs on the user and on what is done as the user", async () => {
  const grants = ["impersonate-on:user-info:list /pods", "impersonate:user-info authentication.k8s.io/users bob"];
  assert.equal((await as("a3", ["Impersonate-User", "bob"], grants).acting).constraint, "impersonate:user-info");
  const masters = ["Impersonate-User", "bob", "Impersonate-Group", "system:masters"];
  await assert.rejects(as("a4", masters, grants).acting, /impersonating the system:masters group is not allowed/);
});

test("constrained: a service account and a node have their own verbs and groups", async () => {
  const account = [
    "impersonate-on:serviceaccount:list /pods",
    "impersonate:serviceaccount authentication.k8s.io/serviceaccounts web",
  ];
  const { user } = await as("a5", ["Impersonate-User", "system:serviceaccount:default:web"], account).acting;
  assert.deepEqual(user.groups, ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]);
  const node = [
    "impersonate-on:arbitrary-node:list /pods",
    "impersonate:arbitrary-node authentication.k8s.io/nodes n1",
  ];
  const acting = await as("a6", ["Impersonate-User", "system:node:n1"], node).acting;
  assert.deepEqual(
    [acting.user.groups, acting.constraint],
    [["system:nodes", "system:authenticated"], "impersonate:arbitrary-node"],
  );
});

test("constrained: an agent may act as the node it runs on, and as no other", async () => {
  const agent = "system:serviceaccount:kube-system:agent";
  const grants = [
    "impersonate-on:associated-node:list /pods",
    "impersonate:associated-node authentication.k8s.io/nodes *",
  ];
  const extra = { "authentication.kubernetes.io/node-name": ["n1"] };
  const acting = await as(agent, ["Impersonate-User", "system:node:n1"], grants, extra).acting;
  assert.equal(acting.constraint, "impersonate:associated-node");
  await assert.rejects(as(agent, ["Impersonate-User", "system:node:n2"], grants, extra).acting, (e) =>
    isReason(e, "Forbidden"),
  );
});

test("groups without a user are a bad request", () => {
  assert.throws(() => wantedUser(["Impersonate-Group", "x"]), {
    message:
      'requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"x"}, Extra:map[string][]string(nil)} without impersonating a user name',
  });
  assert.equal(wantedUser(["Accept", "*/*"]), undefined);
});
