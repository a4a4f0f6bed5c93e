import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { Store, StoredObject } from "#platform/store/port.ts";
import type { MutatingWebhook } from "#sdk/api/generated/types.ts";
import type { DynamicObject, JsonObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import type { AdmissionAttributes } from "../../registry/admission.ts";
import { decoder } from "../../types.ts";
import type { WebhookCall } from "../../webhook/client.ts";
import { admissionChain, noComponents } from "../chain.ts";
import type { Versions } from "../match.ts";
import { Webhooks } from "./webhooks.ts";

const stored = (resource: string, object: DynamicObject): StoredObject => ({
  key: { tenant: 1, resource, namespace: "", name: object.metadata.name ?? "" },
  uid: "u",
  revision: 1,
  document: JSON.stringify(object),
  labels: object.metadata.labels ?? {},
  fields: {},
});

/** A store that has these objects, and whose watches end with what is there. */
function storeOf(objects: readonly StoredObject[]): Store {
  return {
    get: async ({ resource, name }) => objects.find(({ key }) => key.resource === resource && key.name === name),
    async *watch({ scope, signal }) {
      const changes = objects.filter(({ key }) => key.resource === scope.resource);
      yield [
        ...changes.map((object) => ({
          type: "change" as const,
          change: { type: "added" as const, revision: 1, object },
        })),
        { type: "bookmark" as const, revision: 1, initialEnd: true },
      ];
      await new Promise((resolve) => signal.addEventListener("abort", resolve));
    },
  } as Partial<Store> as Store;
}

const versions: Versions = {
  equivalents: () => [],
  convert: (object) => object,
  applyDefaults: () => undefined,
  typed: (kind, object) => decoder.check(kind, object as unknown as JsonObject, "Ignore", () => undefined),
};

const webhook = (name: string, more: Partial<MutatingWebhook> = {}): MutatingWebhook => ({
  name,
  admissionReviewVersions: ["v1"],
  sideEffects: "None",
  clientConfig: { url: `https://${name}/` },
  rules: [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["configmaps"] }],
  ...more,
});

type Answer = (request: { uid: string; object: DynamicObject }, name: string) => object | Error;

async function chainOf(
  kind: "mutating" | "validating",
  webhooks: MutatingWebhook[],
  answer: Answer,
  asked: string[] = [],
) {
  const configuration = { metadata: { name: "c" }, webhooks } as DynamicObject;
  const namespace = { metadata: { name: "default", labels: { team: "a" } } };
  const store = storeOf([
    stored(`${kind}webhookconfigurations.admissionregistration.k8s.io`, configuration),
    stored("namespaces", namespace),
  ]);
  const client = async ({ config, body }: WebhookCall) => {
    const name = new URL(config.url ?? "").hostname;
    asked.push(name);
    const { request } = body as unknown as { request: { uid: string; object: DynamicObject } };
    const response = answer(request, name);
    if (response instanceof Error) throw response;
    return { kind: "AdmissionReview", apiVersion: "admission.k8s.io/v1", response: { uid: request.uid, ...response } };
  };
  const authorizer = { authorize: async () => ({ decision: "allow" as const, reason: "" }) };
  const hooks = new Webhooks({ store, versions: () => versions, authorizer, client, log: silentLog });
  const stop = new AbortController();
  await hooks.start(stop.signal);
  stop.abort();
  return admissionChain([], noComponents, [hooks]);
}

const attributes = (more: Partial<AdmissionAttributes> = {}): AdmissionAttributes => ({
  tenant: 1,
  tenantName: "root",
  operation: "CREATE",
  kind: { group: "", version: "v1", kind: "ConfigMap" },
  resource: { group: "", version: "v1", resource: "configmaps" },
  subresource: "",
  namespace: "default",
  name: "x",
  object: { kind: "ConfigMap", apiVersion: "v1", metadata: { name: "x" }, data: {} },
  dryRun: false,
  user: { tenant: 1, name: "somebody", groups: [] },
  ...more,
});

const patch = (...operations: object[]) => ({
  allowed: true,
  patchType: "JSONPatch",
  patch: Buffer.from(JSON.stringify(operations)).toString("base64"),
});
const message = (text: string | RegExp, code: number) => (error: unknown) => {
  assert.ok(error instanceof StatusError, String(error));
  if (typeof text === "string") assert.equal(error.message, text);
  else assert.match(error.message, text);
  return error.code === code;
};

test("a refusal names the webhook and says what it said", async () => {
  const chain = await chainOf("validating", [webhook("a.b.c")], () => ({
    allowed: false,
    status: { message: "no good", code: 403, reason: "Forbidden" },
  }));
  await assert.rejects(
    chain.validate(attributes()),
    message('admission webhook "a.b.c" denied the request: no good', 403),
  );
  const silent = await chainOf("validating", [webhook("a.b.c")], () => ({ allowed: false }));
  await assert.rejects(
    silent.validate(attributes()),
    message('admission webhook "a.b.c" denied the request without explanation', 400),
  );
});

test("a webhook that cannot be asked refuses or is passed over, by its failure policy", async () => {
  const fail = () => new Error('Post "https://a.b.c/": EOF');
  const closed = await chainOf("validating", [webhook("a.b.c")], fail);
  const text =
    'Internal error occurred: failed calling webhook "a.b.c": failed to call webhook: Post "https://a.b.c/": EOF';
  await assert.rejects(closed.validate(attributes()), message(text, 500));
  const open = await chainOf("validating", [webhook("a.b.c", { failurePolicy: "Ignore" })], fail);
  await open.validate(attributes());
});

test("a patch that makes no object of it is an error of the webhook's, whatever its failure policy", async () => {
  const open = webhook("a.x", { failurePolicy: "Ignore" });
  const chain = await chainOf("mutating", [open], () => patch({ op: "replace", path: "/data", value: 5 }));
  await assert.rejects(chain.mutate(attributes()), message(/^Internal error occurred: .*data/, 500));
});

test("each mutating webhook sees what the one before it made", async () => {
  const seen: unknown[] = [];
  const chain = await chainOf("mutating", [webhook("a.x"), webhook("b.x")], ({ object }, name) => {
    seen.push(structuredClone(object.data));
    return patch({ op: "add", path: `/data/${name[0]}`, value: "1" });
  });
  const { object } = await chain.mutate(attributes());
  assert.deepEqual(object?.data, { a: "1", b: "1" });
  assert.deepEqual(seen, [{}, { a: "1" }]);
});

test("a webhook that asked for it is called once more when a later one changed the object", async () => {
  const asked: string[] = [];
  const hooks = [webhook("a.x", { reinvocationPolicy: "IfNeeded" }), webhook("b.x")];
  const chain = await chainOf(
    "mutating",
    hooks,
    (_, name) => patch({ op: "add", path: `/data/${name[0]}`, value: "1" }),
    asked,
  );
  await chain.mutate(attributes());
  assert.deepEqual(asked, ["a.x", "b.x", "a.x"]);
});

test("selectors of namespace and object decide, and configurations are never subject to webhooks", async () => {
  const asked: string[] = [];
  const hooks = [
    webhook("team-a.x", { namespaceSelector: { matchLabels: { team: "a" } } }),
    webhook("team-b.x", { namespaceSelector: { matchLabels: { team: "b" } } }),
    webhook("labelled.x", { objectSelector: { matchLabels: { l: "1" } } }),
    webhook("all.x", { rules: [{ apiGroups: ["*"], apiVersions: ["*"], operations: ["*"], resources: ["*/*"] }] }),
  ];
  const chain = await chainOf("validating", hooks, () => ({ allowed: true }), asked);
  await chain.validate(attributes());
  assert.deepEqual(asked.splice(0), ["team-a.x", "all.x"]);
  const kind = { group: "admissionregistration.k8s.io", version: "v1", kind: "ValidatingWebhookConfiguration" };
  await chain.validate(attributes({ kind }));
  assert.deepEqual(asked, []);
});

test("a dry run is refused where a webhook may have side effects", async () => {
  const chain = await chainOf("validating", [webhook("a.b.c", { sideEffects: "Unknown" })], () => ({ allowed: true }));
  await assert.rejects(
    chain.validate(attributes({ dryRun: true })),
    message('admission webhook "a.b.c" does not support dry run', 400),
  );
});

test("an answer that is none is a failed call, and warnings arrive", async () => {
  const warned: string[] = [];
  const other = await chainOf("validating", [webhook("a.b.c")], () => ({ uid: "another", allowed: true }));
  await assert.rejects(
    other.validate(attributes()),
    message(/received invalid webhook response: expected response\.uid=/, 500),
  );
  const chain = await chainOf("validating", [webhook("a.b.c")], () => ({ allowed: true, warnings: ["beware"] }));
  await chain.validate(attributes({ warn: (text) => warned.push(text) }));
  assert.deepEqual(warned, ["beware"]);
});

test("match conditions choose requests, and one that cannot be evaluated refuses", async () => {
  const asked: string[] = [];
  const condition = (expression: string) => [{ name: "c", expression }];
  const hooks = [
    webhook("yes.x", { matchConditions: condition("object.metadata.name == 'x' && request.operation == 'CREATE'") }),
    webhook("no.x", { matchConditions: condition("request.userInfo.username == 'nobody'") }),
    webhook("may.x", { matchConditions: condition("authorizer.group('').resource('pods').check('get').allowed()") }),
  ];
  const chain = await chainOf("validating", hooks, () => ({ allowed: true }), asked);
  await chain.validate(attributes());
  assert.deepEqual(asked, ["yes.x", "may.x"]);
  const broken = await chainOf(
    "validating",
    [webhook("b.x", { matchConditions: condition("object.spec.no == 1") })],
    () => ({
      allowed: true,
    }),
  );
  await assert.rejects(
    broken.validate(attributes()),
    message(/expression 'object.spec.no == 1' resulted in error: no such key: spec/, 403),
  );
});
