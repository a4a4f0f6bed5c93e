/** WebSocket clients of the API server, over a real PostgreSQL: watches, and who they are. */
import assert from "node:assert/strict";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { WebSocket } from "ws";
import { freePort, type TestDatabase, withTestDatabase } from "#db/testing.ts";
import { silentLog } from "#platform/base/log.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import { type Config, paths } from "../config.ts";
import { ensurePki } from "../pki.ts";
import type { RunningRole } from "../role.ts";
import { start } from "./apiserver.ts";

const CONFIGMAPS = { group: "", version: "v1", resource: "configmaps" };
const WATCH = "/api/v1/namespaces/default/configmaps?watch=true&resourceVersion=0";
const BEARER = "base64url.bearer.authorization.k8s.io.";

let database: TestDatabase;
let dataDir: string;
let role: RunningRole;
let admin: Client;
let config: Config;

before(async () => {
  database = await withTestDatabase();
  dataDir = mkdtempSync(join(tmpdir(), "capstan-ws-"));
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
  role = await start({ config, log: silentLog });
  await role.ready;
  admin = createClient({ ...loadKubeconfig(paths(dataDir).roleKubeconfig("admin")), userAgent: "test" });
});

after(async () => {
  admin?.close();
  await role?.stop();
  await database?.remove();
  if (dataDir) rmSync(dataDir, { recursive: true, force: true });
});

interface Event {
  type: string;
  object: DynamicObject;
}

function open(path: string, protocols: string[], withCertificate: boolean): WebSocket {
  const { ca, cert, key } = loadKubeconfig(paths(dataDir).roleKubeconfig("admin"));
  const identity = withCertificate ? { cert, key } : {};
  return new WebSocket(`wss://127.0.0.1:${config.api.port}${path}`, protocols, { ca, ...identity });
}

/** The code and the body of a refused upgrade. */
async function refusal(socket: WebSocket): Promise<{ code: number; body: { reason?: string } }> {
  socket.on("error", () => undefined);
  const [, response] = await once(socket, "unexpected-response");
  let text = "";
  for await (const chunk of response) text += String(chunk);
  return { code: response.statusCode, body: JSON.parse(text) };
}

test("a watch over a WebSocket is a message for each event", async () => {
  const body = (name: string) => ({
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: "default" },
    data: { text: "two\nlines" },
  });
  await admin.create(CONFIGMAPS, body("before"));
  const socket = open(`${WATCH}&fieldSelector=metadata.name!=kube-root-ca.crt`, [], true);
  const events: Event[] = [];
  const three = new Promise<void>((resolve) => {
    socket.on("message", (data, isBinary) => {
      assert.equal(isBinary, false);
      events.push(JSON.parse(String(data)) as Event);
      if (events.length === 3) resolve();
    });
  });
  await once(socket, "message");
  await admin.create(CONFIGMAPS, body("after"));
  await admin.delete(CONFIGMAPS, { namespace: "default", name: "before" });
  await three;
  assert.deepEqual(
    events.map(({ type, object }) => `${type} ${object.metadata.name}`),
    ["ADDED before", "ADDED after", "DELETED before"],
  );
  socket.close();
  await once(socket, "close");
});

test("a token offered as a subprotocol says who asks, and is not answered", async () => {
  const account = { group: "", version: "v1", resource: "serviceaccounts" };
  const named = { name: "robot", namespace: "default" };
  await admin.create(account, { apiVersion: "v1", kind: "ServiceAccount", metadata: named });
  const request = { apiVersion: "authentication.k8s.io/v1", kind: "TokenRequest", metadata: named, spec: {} };
  const { status } = (await admin.create(account, request as DynamicObject, {
    subresource: "token",
    name: named.name,
  })) as DynamicObject & { status: { token: string } };
  const protocols = [`${BEARER}${Buffer.from(status.token).toString("base64url")}`, "any.example"];

  const denied = await refusal(open(WATCH, protocols, false));
  assert.deepEqual([denied.code, denied.body.reason], [403, "Forbidden"]);
  const binding = {
    apiVersion: "rbac.authorization.k8s.io/v1",
    kind: "RoleBinding",
    metadata: { name: "robot", namespace: "default" },
    roleRef: { apiGroup: "rbac.authorization.k8s.io", kind: "ClusterRole", name: "view" },
    subjects: [{ kind: "ServiceAccount", ...named }],
  };
  await admin.create({ group: "rbac.authorization.k8s.io", version: "v1", resource: "rolebindings" }, binding);
  const socket = open(WATCH, protocols, false);
  await once(socket, "open");
  assert.equal(socket.protocol, "any.example");
  socket.close();

  const alone = await refusal(open(WATCH, protocols.slice(0, 1), false));
  assert.equal(alone.code, 401);
});
