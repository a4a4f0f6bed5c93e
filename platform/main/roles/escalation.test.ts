/** Nobody grants, binds, approves or signs what they may not, over a real PostgreSQL; the words are upstream's. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { freePort, type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { silentLog } from "#platform/base/log.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import { until } from "#sdk/testing/until.ts";
import { type Config, paths } from "../config.ts";
import { ensurePki } from "../pki.ts";
import type { RunningRole } from "../role.ts";
import { start } from "./apiserver.ts";

const RBAC = "rbac.authorization.k8s.io";
const rbac = (resource: string) => ({ group: RBAC, version: "v1", resource });
const CSRS = { group: "certificates.k8s.io", version: "v1", resource: "certificatesigningrequests" };

let database: TestDatabase;
let dataDir: string;
let role: RunningRole;
let admin: Client;
const clients: Client[] = [];

before(async () => {
  database = await withTestDatabase();
  dataDir = mkdtempSync(join(tmpdir(), "capstan-esc-"));
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
  admin = as();
});

after(async () => {
  for (const client of clients) client.close();
  await role?.stop();
  await database?.remove();
  if (dataDir) rmSync(dataDir, { recursive: true, force: true });
});

function as(user?: string): Client {
  const kubeconfig = loadKubeconfig(paths(dataDir).roleKubeconfig("admin"));
  const client = createClient({
    ...kubeconfig,
    userAgent: "test",
    ...(user ? { impersonate: { user, group: "system:authenticated" } } : {}),
  });
  clients.push(client);
  return client;
}

const clusterRole = (name: string, rules: object[], more: object = {}): DynamicObject => ({
  apiVersion: `${RBAC}/v1`,
  kind: "ClusterRole",
  metadata: { name },
  rules,
  ...more,
});
const binding = (name: string, user: string, to: string): DynamicObject => ({
  apiVersion: `${RBAC}/v1`,
  kind: "ClusterRoleBinding",
  metadata: { name },
  roleRef: { apiGroup: RBAC, kind: "ClusterRole", name: to },
  subjects: [{ kind: "User", apiGroup: RBAC, name: user }],
});

/** A user with these rules; resolves when they hold. */
async function userWith(
  name: string,
  rules: object[],
  probe: { verb: string; group: string; resource: string; name?: string },
): Promise<Client> {
  await admin.create(rbac("clusterroles"), clusterRole(name, rules));
  await admin.create(rbac("clusterrolebindings"), binding(name, name, name));
  const client = as(name);
  const review = {
    apiVersion: "authorization.k8s.io/v1",
    kind: "SelfSubjectAccessReview",
    metadata: {},
    spec: { resourceAttributes: probe },
  };
  await until(async () => {
    const answer = await client.raw(
      "POST",
      "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews",
      JSON.stringify(review),
    );
    return (JSON.parse(answer.body) as { status: { allowed: boolean } }).status.allowed;
  });
  return client;
}

const rolesRule = {
  apiGroups: [RBAC],
  resources: ["clusterroles", "clusterrolebindings"],
  verbs: ["create", "update", "get"],
};

test("a role is made of what its author holds; what is missing is told by the thing", async () => {
  const client = await userWith("author", [rolesRule, { apiGroups: [""], resources: ["pods"], verbs: ["get"] }], {
    verb: "create",
    group: RBAC,
    resource: "clusterroles",
  });
  await client.create(
    rbac("clusterroles"),
    clusterRole("held", [{ apiGroups: [""], resources: ["pods"], verbs: ["get"] }]),
  );
  const more = clusterRole("more", [{ apiGroups: [""], resources: ["secrets", "pods"], verbs: ["get", "list"] }]);
  await assert.rejects(client.create(rbac("clusterroles"), more), {
    message: [
      'clusterroles.rbac.authorization.k8s.io "more" is forbidden: user "author" (groups=["system:authenticated"]) is attempting to grant RBAC permissions not currently held:',
      '{APIGroups:[""], Resources:["pods"], Verbs:["list"]}',
      '{APIGroups:[""], Resources:["secrets"], Verbs:["get" "list"]}',
    ].join("\n"),
  });
  const aggregationRule = { clusterRoleSelectors: [{ matchLabels: { a: "b" } }] };
  await assert.rejects(client.create(rbac("clusterroles"), clusterRole("gathers", [], { aggregationRule })), {
    message:
      'clusterroles.rbac.authorization.k8s.io "gathers" is forbidden: must have cluster-admin privileges to use the aggregationRule',
  });
  await assert.rejects(
    client.create(rbac("clusterrolebindings"), binding("b1", "author", "cluster-admin")),
    /not currently held/,
  );
  await assert.rejects(client.create(rbac("clusterrolebindings"), binding("b2", "author", "absent")), {
    message: 'clusterroles.rbac.authorization.k8s.io "absent" not found',
  });
});

test("escalate and bind allow what is not held, of the named role", async () => {
  const rules = [
    rolesRule,
    { apiGroups: [RBAC], resources: ["clusterroles"], verbs: ["escalate", "bind"], resourceNames: ["view", "grown"] },
  ];
  const client = await userWith("grower", rules, { verb: "bind", group: RBAC, resource: "clusterroles", name: "view" });
  await client.create(
    rbac("clusterroles"),
    clusterRole("grown", [{ apiGroups: ["*"], resources: ["*"], verbs: ["*"] }]),
  );
  await client.create(rbac("clusterrolebindings"), binding("b3", "grower", "view"));
  await assert.rejects(
    client.create(rbac("clusterrolebindings"), binding("b4", "grower", "edit")),
    /not currently held/,
  );
});

async function request(name: string, subject: string, signerName: string): Promise<DynamicObject> {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
  const csr = await x509.Pkcs10CertificateRequestGenerator.create({ name: subject, keys, signingAlgorithm: algorithm });
  const spec = { request: Buffer.from(csr.toString("pem")).toString("base64"), signerName, usages: ["client auth"] };
  return {
    apiVersion: "certificates.k8s.io/v1",
    kind: "CertificateSigningRequest",
    metadata: { name },
    spec,
  } as DynamicObject;
}
const approved = (csr: DynamicObject): DynamicObject =>
  ({
    ...csr,
    status: { conditions: [{ type: "Approved", status: "True", reason: "r", message: "m" }] },
  }) as DynamicObject;

test("approving and signing need a verb on the signer, and nobody asks for a master's certificate", async () => {
  const views = {
    apiGroups: ["certificates.k8s.io"],
    resources: ["certificatesigningrequests/approval", "certificatesigningrequests/status"],
    verbs: ["update"],
  };
  const approver = await userWith(
    "approver",
    [
      views,
      {
        apiGroups: ["certificates.k8s.io"],
        resources: ["signers"],
        verbs: ["approve"],
        resourceNames: ["example.com/*"],
      },
    ],
    { verb: "approve", group: "certificates.k8s.io", resource: "signers", name: "example.com/*" },
  );
  const own = await admin.create(CSRS, await request("own", "CN=a", "example.com/one"));
  const foreign = await admin.create(CSRS, await request("foreign", "CN=a", "other.com/one"));
  await assert.rejects(approver.update(CSRS, approved(foreign), { subresource: "approval" }), {
    message:
      'certificatesigningrequests.certificates.k8s.io "foreign" is forbidden: user not permitted to approve requests with signerName "other.com/one"',
  });
  const done = await approver.update(CSRS, approved(own), { subresource: "approval" });
  const { conditions } = (done as unknown as { status: { conditions: object[] } }).status;
  const failure = { type: "Failed", status: "True", reason: "r", message: "m" };
  const failed = { ...done, status: { conditions: [...conditions, failure] } } as DynamicObject;
  await assert.rejects(
    approver.update(CSRS, failed, { subresource: "status" }),
    /user not permitted to sign requests with signerName "example.com\/one"/,
  );
  const master = await request("master", "CN=a, O=system:masters", "kubernetes.io/kube-apiserver-client");
  await assert.rejects(
    admin.create(CSRS, master),
    (error: Error) =>
      isReason(error, "Forbidden") &&
      error.message.endsWith(
        "use of kubernetes.io/kube-apiserver-client signer with system:masters group is not allowed",
      ),
  );
});

test("parameters of admission policies are read only for who may read them", async () => {
  const GROUP = "admissionregistration.k8s.io";
  const policies = { group: GROUP, version: "v1", resource: "validatingadmissionpolicies" };
  const author = await userWith("policist", [{ apiGroups: [GROUP], resources: ["*"], verbs: ["*"] }], {
    verb: "create",
    ...policies,
  });
  const rule = { apiGroups: [""], apiVersions: ["v1"], operations: ["CREATE"], resources: ["pods"] };
  const policy = {
    apiVersion: `${GROUP}/v1`,
    kind: "ValidatingAdmissionPolicy",
    metadata: { name: "peeks" },
    spec: {
      paramKind: { apiVersion: "v1", kind: "Secret" },
      matchConstraints: { resourceRules: [rule] },
      validations: [{ expression: "false", messageExpression: "string(params.data)" }],
    },
  } as unknown as DynamicObject;
  await assert.rejects(author.create(policies, policy), (error: Error) => {
    assert.match(error.message, /spec\.paramKind: Forbidden: user &\{policist {2}\[.*\] map\[\]\} must have "get"/);
    return isReason(error, "Invalid");
  });
  await admin.create(policies, policy);
  const bindings = { ...policies, resource: "validatingadmissionpolicybindings" };
  const paramRef = { name: "s", namespace: "kube-system", parameterNotFoundAction: "Deny" };
  const spec = { policyName: "peeks", paramRef, validationActions: ["Deny"] };
  const bound = { apiVersion: `${GROUP}/v1`, kind: "ValidatingAdmissionPolicyBinding", metadata: { name: "b" }, spec };
  await assert.rejects(
    author.create(bindings, bound as unknown as DynamicObject),
    /spec\.paramRef: Forbidden: user .* does not have "get" permission on the object referenced by paramRef/,
  );
  await admin.create(bindings, bound as unknown as DynamicObject);
});
