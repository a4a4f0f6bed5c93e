import assert from "node:assert/strict";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { after, test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import { abac, parsePolicies } from "./abac.ts";
import { accessReviewSpec } from "./access-review.ts";
import { type Authorizer, alwaysAllow, alwaysDeny, type Decision, unionOf } from "./authorizer.ts";
import { AuthorizationConfigurationError, parseAuthorizationConfiguration, parseModes } from "./configuration.ts";
import { asked, askedPath } from "./testing.ts";
import { type WebhookSpec, webhookAuthorizer } from "./webhook.ts";

const says = (decision: Decision): Authorizer => ({ authorize: async () => decision });

test("the first opinion decides; without one the reasons and errors are told together", async () => {
  const silent = says({ decision: "noOpinion", reason: "a", error: "x" });
  const denies = says({ decision: "deny", reason: "no" });
  assert.equal((await unionOf([silent, denies, alwaysAllow]).authorize(asked("get"))).decision, "deny");
  assert.equal((await unionOf([silent, alwaysAllow, denies]).authorize(asked("get"))).decision, "allow");
  assert.deepEqual(await unionOf([silent, alwaysDeny]).authorize(asked("get")), {
    decision: "noOpinion",
    reason: "a\nEverything is forbidden.",
    error: "x",
  });
});

test("rules of a chain are those of its parts, and incomplete when one cannot tell", () => {
  const user = { tenant: 1, name: "a", groups: [] };
  const mute: Authorizer = {
    ...alwaysDeny,
    rulesFor: () => ({ resourceRules: [], nonResourceRules: [], incomplete: "cannot" }),
  };
  const rules = unionOf([alwaysAllow, mute, mute]).rulesFor?.(1, user, "default");
  assert.equal(rules?.incomplete, "cannot");
  assert.deepEqual(rules?.resourceRules, [{ verbs: ["*"], apiGroups: ["*"], resources: ["*"] }]);
  assert.equal(unionOf([alwaysAllow]).rulesFor?.(1, user, "default").incomplete, undefined);
});

const POLICIES = [
  "# a comment",
  '{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"alice","namespace":"*","resource":"*","apiGroup":"*"}}',
  '{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"bob","namespace":"projectCaribou","resource":"pods","readonly":true}}',
  '{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"group":"system:authenticated","readonly":true,"nonResourcePath":"/version*"}}',
].join("\n");

test("ABAC: subject, verb, resource and path must fit one policy; names of other tenants are others", async () => {
  const authorizer = abac(parsePolicies(POLICIES));
  const decision = async (a: Parameters<Authorizer["authorize"]>[0]) => (await authorizer.authorize(a)).decision;
  assert.equal(await decision(asked("delete", { resource: "secrets" })), "allow");
  assert.equal(await decision(asked("get", { namespace: "projectCaribou" }, { name: "bob" })), "allow");
  assert.equal(await decision(asked("create", { namespace: "projectCaribou" }, { name: "bob" })), "noOpinion");
  assert.equal(await decision(asked("get", { namespace: "other" }, { name: "bob" })), "noOpinion");
  assert.equal(await decision(askedPath("get", "/version/x", "eve")), "allow");
  assert.equal(await decision(askedPath("get", "/metrics", "eve")), "noOpinion");
  const foreign = asked("get");
  assert.equal(await decision({ ...foreign, tenant: 2, user: { ...foreign.user, tenant: 2 } }), "noOpinion");
  assert.throws(() => parsePolicies("\n{}"), /line 2/);
});

test("a review says what is asked, with the selectors' requirements", () => {
  const spec = accessReviewSpec(
    asked(
      "list",
      {},
      { fieldSelector: "spec.nodeName=n1,status.phase!=Failed", labelSelector: "app=x,tier in (a, b),!old,has" },
    ),
  );
  assert.deepEqual(spec, {
    resourceAttributes: {
      namespace: "default",
      verb: "list",
      version: "v1",
      resource: "pods",
      fieldSelector: {
        requirements: [
          { key: "spec.nodeName", operator: "In", values: ["n1"] },
          { key: "status.phase", operator: "NotIn", values: ["Failed"] },
        ],
      },
      labelSelector: {
        requirements: [
          { key: "app", operator: "In", values: ["x"] },
          { key: "tier", operator: "In", values: ["a", "b"] },
          { key: "old", operator: "DoesNotExist" },
          { key: "has", operator: "Exists" },
        ],
      },
    },
    user: "alice",
    groups: ["system:authenticated"],
  });
});

const stops: (() => void)[] = [];
after(() => {
  for (const stop of stops) stop();
});

async function webhook(status: object, more: Partial<WebhookSpec> = {}, code = 200) {
  const bodies: { apiVersion: string; spec: { user: string; group?: string[]; groups?: string[] } }[] = [];
  const server = createServer((request, response) => {
    let text = "";
    request.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
    });
    request.on("end", () => {
      bodies.push(JSON.parse(text));
      response.statusCode = code;
      response.end(JSON.stringify({ kind: "SubjectAccessReview", status }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  stops.push(() => server.close());
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const spec: WebhookSpec = {
    name: "w",
    version: "v1",
    timeoutMs: 5_000,
    authorizedMs: 1_000,
    unauthorizedMs: 1_000,
    failurePolicy: "NoOpinion",
    matchConditions: [],
    ...more,
  };
  const clock = { now: 0 };
  return { authorizer: webhookAuthorizer(spec, { url }, silentLog, () => clock.now), bodies, clock };
}

test("a webhook's allow, deny and silence are told apart and remembered", async () => {
  const yes = await webhook({ allowed: true, reason: "friend" });
  assert.deepEqual(await yes.authorizer.authorize(asked("get")), { decision: "allow", reason: "friend" });
  await yes.authorizer.authorize(asked("get"));
  assert.equal(yes.bodies.length, 1);
  yes.clock.now = 1_000;
  await yes.authorizer.authorize(asked("get"));
  assert.equal(yes.bodies.length, 2);
  assert.equal(yes.bodies[0]?.apiVersion, "authorization.k8s.io/v1");
  assert.equal((await (await webhook({ denied: true })).authorizer.authorize(asked("get"))).decision, "deny");
  assert.equal((await (await webhook({})).authorizer.authorize(asked("get"))).decision, "noOpinion");
  assert.equal(
    (await (await webhook({ allowed: true, denied: true })).authorizer.authorize(asked("get"))).decision,
    "deny",
  );
});

test("the beta's review calls the groups by their old name", async () => {
  const { authorizer, bodies } = await webhook({ allowed: true }, { version: "v1beta1" });
  await authorizer.authorize(asked("get"));
  assert.deepEqual(bodies[0]?.spec.group, ["system:authenticated"]);
  assert.equal(bodies[0]?.spec.groups, undefined);
});

test("a webhook that fails denies or is silent, as its policy says", async () => {
  const deny = await webhook({}, { failurePolicy: "Deny" }, 400);
  const decision = await deny.authorizer.authorize(asked("get"));
  assert.equal(decision.decision, "deny");
  assert.match(decision.error ?? "", /answered 400/);
  const open = await webhook({}, {}, 400);
  assert.equal((await open.authorizer.authorize(asked("get"))).decision, "noOpinion");
});

test("expressions choose what a webhook is asked", async () => {
  const matchConditions = ["has(request.resourceAttributes)", "request.resourceAttributes.namespace == 'prod'"];
  const { authorizer, bodies } = await webhook({ allowed: true }, { matchConditions });
  assert.equal((await authorizer.authorize(asked("get"))).decision, "noOpinion");
  assert.equal((await authorizer.authorize(askedPath("get", "/x"))).decision, "noOpinion");
  assert.equal(bodies.length, 0);
  assert.equal((await authorizer.authorize(asked("get", { namespace: "prod" }))).decision, "allow");
});

const WEBHOOK = {
  timeout: "3s",
  subjectAccessReviewVersion: "v1",
  failurePolicy: "Deny",
  connectionInfo: { type: "KubeConfigFile", kubeConfigFile: "/etc/w.kubeconfig" },
};
const configuration = (authorizers: unknown[]) =>
  JSON.stringify({ apiVersion: "apiserver.config.k8s.io/v1", kind: "AuthorizationConfiguration", authorizers });

test("a configuration names the authorizers in their order", () => {
  const read = parseAuthorizationConfiguration(
    configuration([
      { type: "Webhook", name: "w", webhook: { ...WEBHOOK, authorizedTTL: "1m30s", cacheUnauthorizedRequests: false } },
      { type: "Node", name: "node" },
      { type: "RBAC", name: "rbac" },
    ]),
  );
  assert.deepEqual(
    read.map(({ type }) => type),
    ["Webhook", "Node", "RBAC"],
  );
  assert.ok(
    read[0]?.type === "Webhook" && read[0].webhook.authorizedMs === 90_000 && read[0].webhook.unauthorizedMs === 0,
  );
});

for (const [name, authorizers, why] of [
  ["none", [], /at least one/],
  ["an unknown type", [{ type: "X", name: "x" }], /Unsupported value: "X"/],
  [
    "a type twice",
    [
      { type: "RBAC", name: "a" },
      { type: "RBAC", name: "b" },
    ],
    /Duplicate value: "RBAC"/,
  ],
  ["a webhook without a webhook", [{ type: "Webhook", name: "w" }], /required when type=Webhook/],
  ["a long timeout", [{ type: "Webhook", name: "w", webhook: { ...WEBHOOK, timeout: "31s" } }], /<= 30s/],
  [
    "a condition that does not compile",
    [
      {
        type: "Webhook",
        name: "w",
        webhook: {
          ...WEBHOOK,
          matchConditionSubjectAccessReviewVersion: "v1",
          matchConditions: [{ expression: "request.nope" }],
        },
      },
    ],
    /compilation failed/,
  ],
] as const) {
  test(`${name} is refused`, () => {
    assert.throws(
      () => parseAuthorizationConfiguration(configuration([...authorizers])),
      (error) => error instanceof AuthorizationConfigurationError && why.test(error.message),
    );
  });
}

test("modes by name are in their order, each once", () => {
  const none = () => assert.fail();
  assert.deepEqual(
    parseModes("Node,RBAC,ABAC", none).map(({ type }) => type),
    ["Node", "RBAC", "ABAC"],
  );
  assert.throws(() => parseModes("RBAC,RBAC", none), /twice/);
  assert.throws(() => parseModes("Basic", none), /Unsupported/);
});
