/** What a tenant configures of admission, over a real PostgreSQL: webhooks over TLS, policies, quotas. */
import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { freePort, type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { silentLog } from "#platform/base/log.ts";
import type { DynamicObject, GroupVersionResource } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import { type Config, paths } from "../config.ts";
import { ensurePki } from "../pki.ts";
import type { RunningRole } from "../role.ts";
import { start } from "./apiserver.ts";

const core = (resource: string): GroupVersionResource => ({ group: "", version: "v1", resource });
const CONFIGMAPS = core("configmaps");
const admission = (resource: string): GroupVersionResource => ({
  group: "admissionregistration.k8s.io",
  version: "v1",
  resource,
});

let database: TestDatabase;
let dataDir: string;
let role: RunningRole;
let client: Client;
let hooks: Server;
let hooksUrl: string;
let caBundle: string;

before(async () => {
  database = await withTestDatabase();
  dataDir = mkdtempSync(join(tmpdir(), "capstan-adm-"));
  const config: Config = {
    dataDir,
    instance: "000000",
    api: { host: "127.0.0.1", port: await freePort() },
    console: { host: "127.0.0.1", port: 0 },
    databaseUrl: database.url,
    serviceCIDR: "10.96.0.0/24",
    podCIDR: "10.244.0.0/16",
    dns: { domain: "cluster.local", address: "10.96.0.10" },
    engine: "jco",
    nodes: [],
  };
  await ensurePki(config);
  role = await start({ config, log: silentLog });
  await role.ready;
  client = createClient({ ...loadKubeconfig(paths(dataDir).roleKubeconfig("admin")), userAgent: "test" });
  const pem = (name: string) => readFileSync(join(paths(dataDir).pki, name));
  caBundle = pem("ca.crt").toString("base64");
  hooks = createServer({ cert: pem("apiserver.crt"), key: pem("apiserver.key") }, (request, response) => {
    if (request.url?.startsWith("/silent")) return;
    let text = "";
    request.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
    });
    request.on("end", () => {
      const { request: asked } = JSON.parse(text) as { request: { uid: string } };
      const patch = Buffer.from(JSON.stringify([{ op: "add", path: "/data/hooked", value: "yes" }])).toString("base64");
      const answer = request.url?.startsWith("/mutate")
        ? { allowed: true, patchType: "JSONPatch", patch }
        : { allowed: false, status: { message: "not today" } };
      response.setHeader("content-type", "application/json");
      const apiVersion = "admission.k8s.io/v1";
      response.end(JSON.stringify({ kind: "AdmissionReview", apiVersion, response: { uid: asked.uid, ...answer } }));
    });
  });
  const port = await freePort();
  hooksUrl = `https://127.0.0.1:${port}`;
  await new Promise<void>((resolve) => hooks.listen(port, "127.0.0.1", resolve));
});

after(async () => {
  client?.close();
  hooks?.closeAllConnections();
  hooks?.close();
  await role?.stop();
  await database?.remove();
  if (dataDir) rmSync(dataDir, { recursive: true, force: true });
});

const namespace = (name: string) =>
  client.create(core("namespaces"), { apiVersion: "v1", kind: "Namespace", metadata: { name, labels: { n: name } } });
const configMap = (at: string, name: string, data: Record<string, string> = {}): DynamicObject => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: at },
  data,
});
const rules = [{ apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["configmaps"] }];
const only = (name: string) => ({ matchLabels: { n: name } });
const configuration = (kind: string, resource: string, name: string, spec: object) =>
  client.create(admission(resource), {
    apiVersion: "admissionregistration.k8s.io/v1",
    kind,
    metadata: { name },
    ...spec,
  } as DynamicObject);

const ATTEMPTS_MAX = 500;

/** The server follows its configuration by watching: dry runs show when it has arrived. */
async function until(holds: () => Promise<boolean>): Promise<void> {
  for (let attempt = 0; attempt < ATTEMPTS_MAX; attempt++) {
    if (await holds()) return;
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  assert.fail("the configuration did not arrive");
}

const outcome = async (object: DynamicObject): Promise<StatusError | DynamicObject> => {
  try {
    return await client.create(CONFIGMAPS, object, { dryRun: true });
  } catch (error) {
    assert.ok(error instanceof StatusError, String(error));
    return error;
  }
};

async function refusalIn(at: string, data: Record<string, string> = {}): Promise<StatusError> {
  let last: StatusError | DynamicObject | undefined;
  await until(async () => {
    last = await outcome(configMap(at, "x", data));
    return last instanceof StatusError;
  });
  assert.ok(last instanceof StatusError);
  return last;
}

const webhook = (at: string, path: string) => ({
  name: `${at}.hooks.test`,
  admissionReviewVersions: ["v1"],
  sideEffects: "None",
  namespaceSelector: only(at),
  clientConfig: { url: `${hooksUrl}${path}`, caBundle },
  rules,
});

test("webhooks change and refuse what is written", { timeout: 30_000 }, async () => {
  await namespace("mutated");
  await namespace("refused");
  await configuration("MutatingWebhookConfiguration", "mutatingwebhookconfigurations", "m", {
    webhooks: [webhook("mutated", "/mutate")],
  });
  await configuration("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "v", {
    webhooks: [webhook("refused", "/refuse")],
  });
  await until(async () => {
    const made = await outcome(configMap("mutated", "x", { a: "1" }));
    assert.ok(!(made instanceof StatusError), String(made));
    return (made.data as Record<string, string>)["hooked"] === "yes";
  });
  const refusal = await refusalIn("refused");
  assert.equal(refusal.message, 'admission webhook "refused.hooks.test" denied the request: not today');
});

test("who is out of time before a webhook has answered is told so", { timeout: 30_000 }, async () => {
  await namespace("silent");
  const hook = { ...webhook("silent", "/silent"), rules, timeoutSeconds: 30 };
  await configuration("ValidatingWebhookConfiguration", "validatingwebhookconfigurations", "silent", {
    webhooks: [hook],
  });
  const path = "/api/v1/namespaces/silent/configmaps?dryRun=All&timeout=300ms";
  const body = JSON.stringify(configMap("silent", "x"));
  let answer: { code: number; body: string } | undefined;
  await until(async () => {
    answer = await client.raw("POST", path, body, { "content-type": "application/json" });
    return answer.code !== 201;
  });
  assert.equal(answer?.code, 504);
  assert.match(answer?.body ?? "", /"reason":"Timeout"/);
});

test("a validating policy decides by its expressions, variables and parameters", { timeout: 30_000 }, async () => {
  await namespace("judged");
  await client.create(CONFIGMAPS, configMap("judged", "limits", { most: "2" }));
  await configuration("ValidatingAdmissionPolicy", "validatingadmissionpolicies", "few", {
    spec: {
      paramKind: { apiVersion: "v1", kind: "ConfigMap" },
      matchConstraints: { resourceRules: rules, namespaceSelector: only("judged") },
      variables: [{ name: "count", expression: "has(object.data) ? size(object.data) : 0" }],
      validations: [
        {
          expression: "variables.count <= int(params.data.most)",
          messageExpression: "'at most ' + params.data.most + ', not ' + string(variables.count)",
        },
      ],
    },
  });
  await configuration("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "few-here", {
    spec: {
      policyName: "few",
      validationActions: ["Deny"],
      paramRef: { name: "limits", namespace: "judged", parameterNotFoundAction: "Deny" },
    },
  });
  const refusal = await refusalIn("judged", { a: "1", b: "2", c: "3" });
  const by = "ValidatingAdmissionPolicy 'few' with binding 'few-here' denied request: at most 2, not 3";
  assert.equal(refusal.message, `configmaps "x" is forbidden: ${by}`);
  assert.deepEqual([refusal.code, refusal.reason], [422, "Invalid"]);
  assert.ok(!((await outcome(configMap("judged", "x", { a: "1" }))) instanceof StatusError));
});

test("a mutating policy applies configurations and patches", { timeout: 30_000 }, async () => {
  await namespace("changed");
  const binding = { spec: { policyName: "change" } };
  await configuration("MutatingAdmissionPolicy", "mutatingadmissionpolicies", "change", {
    spec: {
      reinvocationPolicy: "Never",
      matchConstraints: { resourceRules: rules, namespaceSelector: only("changed") },
      mutations: [
        {
          patchType: "ApplyConfiguration",
          applyConfiguration: { expression: "Object{metadata: Object.metadata{labels: {'by': 'policy'}}}" },
        },
        {
          patchType: "JSONPatch",
          jsonPatch: {
            expression:
              "[JSONPatch{op: 'add', path: '/metadata/labels/' + jsonpatch.escapeKey('a/b'), value: object.metadata.name}]",
          },
        },
      ],
    },
  });
  await configuration("MutatingAdmissionPolicyBinding", "mutatingadmissionpolicybindings", "change-here", binding);
  let labels: Record<string, string> | undefined;
  await until(async () => {
    const made = await outcome(configMap("changed", "x"));
    assert.ok(!(made instanceof StatusError), String(made));
    labels = made.metadata.labels;
    return labels !== undefined;
  });
  assert.deepEqual(labels, { by: "policy", "a/b": "x" });
});

test("of many creates at once, a quota admits as many as it has room for", { timeout: 60_000 }, async () => {
  await namespace("bounded");
  const quotas = core("resourcequotas");
  const quota = (await client.create(quotas, {
    apiVersion: "v1",
    kind: "ResourceQuota",
    metadata: { name: "q", namespace: "bounded" },
    spec: { hard: { configmaps: "5" } },
  } as DynamicObject)) as DynamicObject;
  const status = { hard: { configmaps: "5" }, used: { configmaps: "0" } };
  await client.update(quotas, { ...quota, status }, { subresource: "status" });
  const results = await Promise.allSettled(
    Array.from({ length: 20 }, (_, i) => client.create(CONFIGMAPS, configMap("bounded", `c${i}`))),
  );
  const refused = results.flatMap((r) => (r.status === "rejected" ? [(r.reason as Error).message] : []));
  assert.equal(results.length - refused.length, 5);
  for (const message of refused)
    assert.match(message, /exceeded quota: q, requested: configmaps=1, used: configmaps=5, limited: configmaps=5/);
  const after = await client.get<DynamicObject>(quotas, { namespace: "bounded", name: "q" });
  assert.deepEqual((after.status as { used: object }).used, { configmaps: "5" });
});

test("what is asked of an object by another kind is reviewed as that kind: scales, tokens", async () => {
  await namespace("actions");
  const rule = (resource: string, operation: string) => ({
    apiGroups: ["*"],
    apiVersions: ["v1"],
    operations: [operation],
    resources: [resource],
  });
  const spec = {
    failurePolicy: "Fail",
    matchConstraints: {
      namespaceSelector: only("actions"),
      resourceRules: [rule("deployments/scale", "UPDATE"), rule("serviceaccounts/token", "CREATE")],
    },
    validations: [
      {
        expression: "request.kind.kind == 'Scale' ? object.spec.replicas < 3 && oldObject.spec.replicas == 1 : false",
        messageExpression: "'no ' + request.kind.kind + ' of ' + request.name",
      },
    ],
  };
  await configuration("ValidatingAdmissionPolicy", "validatingadmissionpolicies", "actions", { spec });
  const binding = { policyName: "actions", validationActions: ["Deny"] };
  await configuration("ValidatingAdmissionPolicyBinding", "validatingadmissionpolicybindings", "actions", {
    spec: binding,
  });
  const deployments = { group: "apps", version: "v1", resource: "deployments" };
  const labels = { app: "a" };
  const template = { metadata: { labels }, spec: { containers: [{ name: "c", image: "i" }] } };
  await client.create(deployments, {
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "d", namespace: "actions" },
    spec: { replicas: 1, selector: { matchLabels: labels }, template },
  } as DynamicObject);
  const at = { namespace: "actions", name: "d" };
  const scale = (replicas: number, dryRun: boolean) =>
    client.patch(deployments, at, { type: "merge", body: { spec: { replicas } } }, { subresource: "scale", dryRun });
  const refused = async (write: Promise<unknown>): Promise<string> =>
    await write.then(
      () => "",
      (error: unknown) => String(error),
    );
  await until(async () => (await refused(scale(5, true))).includes("no Scale of d"));
  assert.equal(await refused(scale(2, false)), "");
  assert.match(await refused(scale(2, false)), /no Scale of d/);
  await client.create(core("serviceaccounts"), {
    apiVersion: "v1",
    kind: "ServiceAccount",
    metadata: { name: "robot", namespace: "actions" },
  });
  const asked = JSON.stringify({
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenRequest",
    spec: { audiences: [] },
  });
  const path = "/api/v1/namespaces/actions/serviceaccounts/robot/token";
  const json = { "content-type": "application/json" };
  assert.match((await client.raw("POST", path, asked, json)).body, /no TokenRequest of robot/);
});
