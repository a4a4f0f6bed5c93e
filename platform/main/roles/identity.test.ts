/** Who is asking and whether they may, as the operator's options say, over a real PostgreSQL and real issuers and webhooks on TLS. */
import assert from "node:assert/strict";
import { generateKeyPairSync, type KeyObject, sign } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { createServer, request as httpsRequest, type Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { freePort, type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { silentLog } from "#platform/base/log.ts";
import { Session } from "#platform/store/postgres/session.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import { type Config, paths } from "../config.ts";
import { ensurePki } from "../pki.ts";
import type { RunningRole } from "../role.ts";
import { start } from "./apiserver.ts";

const SECRETS = { group: "", version: "v1", resource: "secrets" };
const TENANTS = { group: "capstan.dev", version: "v1", resource: "tenants" };
const ACCESS = "/apis/authorization.k8s.io/v1";

interface TokenReview {
  spec: { token: string; user?: string };
  kind: string;
}

let database: TestDatabase;
let dataDir: string;
let config: Config;
let role: RunningRole;
let admin: Client;
let outside: Server;
let outsideUrl: string;
let issuerKey: { id: string; privateKey: KeyObject; publicKey: KeyObject };
const asked = { keys: 0, tokens: 0, access: 0 };

const newKey = (id: string) => ({ id, ...generateKeyPairSync("ec", { namedCurve: "P-256" }) });

function bodyOf(request: IncomingMessage): Promise<TokenReview> {
  return new Promise((resolve) => {
    let text = "";
    request.on("data", (chunk: Buffer) => {
      text += chunk.toString("utf8");
    });
    request.on("end", () => resolve(JSON.parse(text || "{}") as TokenReview));
  });
}

/** The issuer and both webhooks. */
async function answer(path: string, request: IncomingMessage): Promise<unknown> {
  if (path === "/.well-known/openid-configuration") return { issuer: outsideUrl, jwks_uri: `${outsideUrl}/keys` };
  if (path === "/keys") {
    asked.keys++;
    const { id, publicKey } = issuerKey;
    return { keys: [{ ...publicKey.export({ format: "jwk" }), kid: id, use: "sig", alg: "ES256" }] };
  }
  const { spec } = await bodyOf(request);
  if (path === "/tokens") {
    asked.tokens++;
    const known = spec.token === "known-to-webhook";
    return {
      status: { authenticated: known, ...(known ? { user: { username: "hook-user", groups: ["hooked"] } } : {}) },
    };
  }
  asked.access++;
  return {
    status: { allowed: spec.user === "hook-user", denied: spec.user === "denied-user", reason: "the webhook says so" },
  };
}

const kubeconfig = (path: string) => {
  const file = join(dataDir, `${path}.kubeconfig`);
  const ca = readFileSync(join(paths(dataDir).pki, "ca.crt")).toString("base64");
  const named = { name: "x" };
  writeFileSync(
    file,
    JSON.stringify({
      "current-context": "x",
      clusters: [{ ...named, cluster: { server: `${outsideUrl}/${path}`, "certificate-authority-data": ca } }],
      contexts: [{ ...named, context: { cluster: "x", user: "x" } }],
      users: [{ ...named, user: {} }],
    }),
  );
  return file;
};
const file = (name: string, content: unknown) => {
  const path = join(dataDir, name);
  writeFileSync(path, typeof content === "string" ? content : JSON.stringify(content));
  return path;
};

before(async () => {
  database = await withTestDatabase();
  dataDir = mkdtempSync(join(tmpdir(), "capstan-id-"));
  config = {
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
  const pem = (name: string) => readFileSync(join(paths(dataDir).pki, name));
  issuerKey = newKey("one");
  outside = createServer({ cert: pem("apiserver.crt"), key: pem("apiserver.key") }, (request, response) => {
    void answer((request.url ?? "").split("?")[0] ?? "", request).then((reply) => response.end(JSON.stringify(reply)));
  });
  const port = await freePort();
  outsideUrl = `https://127.0.0.1:${port}`;
  await new Promise<void>((resolve) => outside.listen(port, "127.0.0.1", resolve));
  const v1 = "apiserver.config.k8s.io/v1";
  config.server = {
    authenticationConfig: file("authentication.json", {
      apiVersion: v1,
      kind: "AuthenticationConfiguration",
      jwt: [
        {
          issuer: { url: outsideUrl, audiences: ["capstan"], certificateAuthority: pem("ca.crt").toString() },
          claimMappings: { username: { claim: "sub", prefix: "oidc:" }, groups: { claim: "groups", prefix: "oidc:" } },
        },
      ],
      anonymous: { enabled: true, conditions: [{ path: "/livez" }] },
    }),
    authenticationTokenWebhookConfigFile: kubeconfig("tokens"),
    tokenAuthFile: file("tokens.csv", 'denied-token,denied-user,1,"system:masters-not"\nabac-token,abac-user,2\n'),
    authorizationMode: "Node,RBAC,ABAC,Webhook",
    authorizationPolicyFile: file(
      "abac.jsonl",
      '{"apiVersion":"abac.authorization.kubernetes.io/v1beta1","kind":"Policy","spec":{"user":"abac-user","namespace":"default","resource":"configmaps","readonly":true}}',
    ),
    authorizationWebhookConfigFile: kubeconfig("access"),
    encryptionProviderConfig: file("encryption.json", {
      apiVersion: v1,
      kind: "EncryptionConfiguration",
      resources: [
        {
          resources: ["secrets"],
          providers: [{ aesgcm: { keys: [{ name: "k", secret: Buffer.alloc(32, 3).toString("base64") }] } }],
        },
      ],
    }),
  };
  role = await start({ config, log: silentLog });
  await role.ready;
  admin = createClient({ ...loadKubeconfig(paths(dataDir).roleKubeconfig("admin")), userAgent: "test" });
});

after(async () => {
  admin?.close();
  outside?.closeAllConnections();
  outside?.close();
  await role?.stop();
  await database?.remove();
  if (dataDir) rmSync(dataDir, { recursive: true, force: true });
});

interface Reply {
  code: number;
  body: { message?: string; status?: { userInfo?: { username?: string; groups?: string[] }; [key: string]: unknown } };
}

function call(path: string, authorization?: string, body?: object): Promise<Reply> {
  const { host, port } = config.api;
  return new Promise((resolve, reject) => {
    const sent = httpsRequest(
      {
        host,
        port,
        path,
        method: body ? "POST" : "GET",
        ca: readFileSync(join(paths(dataDir).pki, "ca.crt")),
        headers: {
          ...(authorization ? { authorization } : {}),
          ...(body ? { "content-type": "application/json" } : {}),
        },
      },
      (response) => {
        let text = "";
        response.on("data", (chunk: Buffer) => {
          text += chunk.toString("utf8");
        });
        response.on("end", () =>
          resolve({ code: response.statusCode ?? 0, body: text.startsWith("{") ? JSON.parse(text) : {} }),
        );
      },
    );
    sent.on("error", reject);
    sent.end(body ? JSON.stringify(body) : undefined);
  });
}

async function whoIs(token: string, prefix = ""): Promise<{ username?: string; groups?: string[] } | number> {
  const review = { apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview", metadata: {} };
  const { code, body } = await call(
    `${prefix}/apis/authentication.k8s.io/v1/selfsubjectreviews`,
    `Bearer ${token}`,
    review,
  );
  return code === 201 ? (body.status?.userInfo ?? {}) : code;
}

function jwt(claims: object, key = issuerKey): string {
  const part = (value: object) => Buffer.from(JSON.stringify(value)).toString("base64url");
  const input = `${part({ alg: "ES256", kid: key.id })}.${part(claims)}`;
  const signature = sign("sha256", Buffer.from(input), { key: key.privateKey, dsaEncoding: "ieee-p1363" });
  return `${input}.${signature.toString("base64url")}`;
}
const claims = (more: object = {}) => ({
  iss: outsideUrl,
  aud: "capstan",
  sub: "alice",
  groups: ["dev"],
  exp: Math.floor(Date.now() / 1000) + 600,
  ...more,
});

test("a token of a configured issuer is its subject; a wrong audience, time or signature is nobody", async () => {
  assert.deepEqual(await whoIs(jwt(claims())), {
    username: "oidc:alice",
    groups: ["oidc:dev", "system:authenticated"],
  });
  assert.equal(await whoIs(jwt(claims({ aud: "other" }))), 401);
  assert.equal(await whoIs(jwt(claims({ exp: 1 }))), 401);
  assert.equal(await whoIs(jwt(claims(), newKey("one"))), 401);
});

test("an issuer may change its keys: a token of a new one is taken, one of the old no more", async () => {
  const old = issuerKey;
  issuerKey = newKey("two");
  // The keys are read anew at most once a second.
  for (let who = await whoIs(jwt(claims())); who === 401; who = await whoIs(jwt(claims())))
    await new Promise((resolve) => setTimeout(resolve, 100));
  assert.equal(await whoIs(jwt(claims(), old)), 401);
});

test("a token that the webhook knows is its user, asked once; TokenReview tells the same", async () => {
  const expected = { username: "hook-user", groups: ["hooked", "system:authenticated"] };
  assert.deepEqual(await whoIs("known-to-webhook"), expected);
  const before = asked.tokens;
  assert.deepEqual(await whoIs("known-to-webhook"), expected);
  assert.equal(asked.tokens, before);
  assert.equal(await whoIs("unknown"), 401);
  const review = {
    apiVersion: "authentication.k8s.io/v1",
    kind: "TokenReview",
    metadata: {},
    spec: { token: "known-to-webhook" },
  };
  const answered = await admin.raw("POST", "/apis/authentication.k8s.io/v1/tokenreviews", JSON.stringify(review));
  const { status } = JSON.parse(answered.body) as { status: { authenticated?: boolean; user?: object } };
  assert.equal(status.authenticated, true);
  assert.deepEqual(status.user, expected);
});

const bootstrapSecret = (id: string, tokenSecret: string): DynamicObject => ({
  apiVersion: "v1",
  kind: "Secret",
  metadata: { name: `bootstrap-token-${id}`, namespace: "kube-system" },
  type: "bootstrap.kubernetes.io/token",
  stringData: { "token-id": id, "token-secret": tokenSecret, "usage-bootstrap-authentication": "true" },
});

test("a bootstrap token logs in where its secret is, and in no other tenant", async () => {
  await admin.create(SECRETS, bootstrapSecret("aaaaaa", "0123456789abcdef"));
  const who = { username: "system:bootstrap:aaaaaa", groups: ["system:bootstrappers", "system:authenticated"] };
  assert.deepEqual(await whoIs("aaaaaa.0123456789abcdef"), who);
  await admin.create(TENANTS, { apiVersion: "capstan.dev/v1", kind: "Tenant", metadata: { name: "acme" } });
  await admin.tenant("acme").create(SECRETS, bootstrapSecret("bbbbbb", "0123456789abcdef"));
  assert.equal(await whoIs("bbbbbb.0123456789abcdef"), 401);
  assert.deepEqual(await whoIs("bbbbbb.0123456789abcdef", "/tenants/acme"), {
    ...who,
    username: "system:bootstrap:bbbbbb",
  });
  assert.equal(await whoIs("aaaaaa.0123456789abcdef", "/tenants/acme"), 401);
});

test("without credentials only the named path is open, and basic credentials are refused with the reason", async () => {
  assert.equal((await call("/livez")).code, 200);
  assert.equal((await call("/readyz")).code, 401);
  const basic = await call("/api", "Basic YTpi");
  assert.equal(basic.code, 401);
  assert.match(basic.body.message ?? "", /basic authentication is not served .* use a client certificate/);
});

test("each authorizer of the chain is asked in its turn", async () => {
  const configMaps = "/api/v1/namespaces/default/configmaps";
  assert.equal((await call(configMaps, "Bearer abac-token")).code, 200);
  const refused = await call("/api/v1/namespaces/default/secrets", "Bearer abac-token");
  assert.equal(refused.code, 403);
  assert.match(
    refused.body.message ?? "",
    /cannot list resource "secrets".*: No policy matched\.\nthe webhook says so/s,
  );
  assert.equal((await call(configMaps, "Bearer known-to-webhook")).code, 200);
  assert.equal((await call(configMaps, "Bearer denied-token")).code, 403);
});

test("reviews answer for the whole chain, and say that the webhook's rules cannot be told", async () => {
  const review = async (kind: string, spec: object) => {
    const body = { apiVersion: "authorization.k8s.io/v1", kind, metadata: {}, spec };
    const answered = await admin.raw("POST", `${ACCESS}/${kind.toLowerCase()}s`, JSON.stringify(body));
    return (JSON.parse(answered.body) as { status: Record<string, unknown> }).status;
  };
  const resourceAttributes = { verb: "get", resource: "configmaps", namespace: "default" };
  assert.deepEqual(await review("SubjectAccessReview", { user: "denied-user", resourceAttributes }), {
    allowed: false,
    denied: true,
    reason: "the webhook says so",
  });
  assert.deepEqual(await review("SubjectAccessReview", { user: "abac-user", resourceAttributes }), { allowed: true });
  const rules = await review("SelfSubjectRulesReview", { namespace: "default" });
  assert.equal(rules["incomplete"], true);
  assert.equal(rules["evaluationError"], "webhook authorizer does not support user rule resolution");
  assert.deepEqual((rules["resourceRules"] as { verbs: string[] }[]).find((r) => r.verbs.includes("*"))?.verbs, ["*"]);
});

test("secrets are encrypted in the database", async () => {
  const session = await Session.open(database.url, "test");
  try {
    const rows = await session.query<{ text: string }>({
      text: "SELECT o::text AS text FROM object o WHERE resource = 'secrets'",
    });
    assert.ok(rows.length >= 2);
    assert.ok(rows.every(({ text }) => text.includes("k8s:enc:aesgcm:v1:k:") && !text.includes("token-secret")));
  } finally {
    await session.close();
  }
});
