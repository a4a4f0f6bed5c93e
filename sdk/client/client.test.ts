import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import test, { type TestContext } from "node:test";
import type { ConfigMap } from "../api/generated/types.ts";
import { StatusError } from "../api/status.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { startFakeServer } from "../testing/fake-server.ts";
import { createClient } from "./client.ts";
import { loadKubeconfig } from "./kubeconfig.ts";
import { TENANT_ANNOTATION } from "./port.ts";

const CONFIGMAPS = { group: "", version: "v1", resource: "configmaps" };
const configMap = (name: string, data = {}): ConfigMap => ({
  apiVersion: "v1",
  kind: "ConfigMap",
  metadata: { name, namespace: "default" },
  data,
});

async function setUp(t: TestContext, path = "") {
  const api = createFakeApi();
  const server = await startFakeServer(api);
  const client = createClient({ server: server.url + path, ca: server.ca, token: "secret" });
  t.after(async () => {
    client.close();
    await server.close();
  });
  return { api, server, client };
}

test("objects are created, read, updated, patched, listed and deleted", async (t) => {
  const { client } = await setUp(t);
  const created = await client.create(CONFIGMAPS, configMap("a", { x: "1" }));
  ok(created.metadata.uid);
  const updated = await client.update(CONFIGMAPS, { ...created, data: { x: "2" } });
  equal(updated.data?.["x"], "2");
  const name = { namespace: "default", name: "a" };
  await client.patch(CONFIGMAPS, name, { type: "merge", body: { data: { y: "3" } } });
  deepEqual((await client.get<ConfigMap>(CONFIGMAPS, name)).data, { x: "2", y: "3" });
  const list = await client.list<ConfigMap>(CONFIGMAPS, { namespace: "default" });
  deepEqual(
    list.items.map((o) => [o.kind, o.metadata.name]),
    [["ConfigMap", "a"]],
  );
  await client.delete(CONFIGMAPS, name);
  await rejects(client.get(CONFIGMAPS, name), (e: StatusError) => e.code === 404 && e.reason === "NotFound");
});

test("the server's Status becomes a StatusError with its reason, message and details", async (t) => {
  const { client } = await setUp(t);
  await client.create(CONFIGMAPS, configMap("a"));
  await rejects(client.create(CONFIGMAPS, configMap("a")), (error: StatusError) => {
    equal(error.reason, "AlreadyExists");
    equal(error.message, 'configmaps "a" already exists');
    equal(error.status.details?.name, "a");
    return true;
  });
});

test("an answer that is no Status is still an error with the code's reason", async (t) => {
  const { client, server } = await setUp(t);
  server.respond(() => ({ code: 403, body: "go away" }));
  await rejects(client.list(CONFIGMAPS), (e: StatusError) => e.reason === "Forbidden" && e.message === "go away");
});

test("a request refused with Retry-After is sent again", async (t) => {
  const { client, server } = await setUp(t);
  let refused = 0;
  server.respond(() => (refused++ < 2 ? { code: 429, headers: { "retry-after": "0" } } : undefined));
  await client.list(CONFIGMAPS);
  equal(refused, 3);
});

test("a tenant is a prefix of the path, the wildcard shows each object's tenant, and writes leave the mark out", async (t) => {
  const { client, server, api } = await setUp(t, "/tenants/acme");
  await client.create(CONFIGMAPS, configMap("a"));
  const [seen] = (await client.tenant("*").list<ConfigMap>(CONFIGMAPS)).items;
  equal(seen?.metadata.annotations?.[TENANT_ANNOTATION], "acme");
  await client.tenant("acme").update(CONFIGMAPS, { ...seen!, data: { z: "1" } });
  const stored = await api.client.tenant("acme").get<ConfigMap>(CONFIGMAPS, { namespace: "default", name: "a" });
  equal(stored.metadata.annotations?.[TENANT_ANNOTATION], undefined);
  deepEqual(
    server.requests.map((r) => r.split(" ")[1]!.split("/api/")[0]),
    ["/tenants/acme", "/tenants/*", "/tenants/acme"],
  );
});

test("a watch delivers what changes after its revision, and ends when it is aborted", async (t) => {
  const { client } = await setUp(t);
  const first = await client.create(CONFIGMAPS, configMap("a"));
  const stop = new AbortController();
  const seen: string[] = [];
  const watching = (async () => {
    const { resourceVersion } = first.metadata;
    for await (const event of client.watch(CONFIGMAPS, { resourceVersion, signal: stop.signal })) {
      seen.push(`${event.type} ${event.object.metadata.name}`);
      if (seen.length === 2) stop.abort();
    }
  })();
  await client.create(CONFIGMAPS, configMap("b"));
  await client.delete(CONFIGMAPS, { namespace: "default", name: "a" });
  await watching;
  deepEqual(seen, ["ADDED b", "DELETED a"]);
});

test("a watch from a forgotten revision throws 410", async (t) => {
  const { client, api } = await setUp(t);
  await client.create(CONFIGMAPS, configMap("a"));
  api.compact();
  const events = client.watch(CONFIGMAPS, { resourceVersion: "1", signal: AbortSignal.timeout(10_000) });
  await rejects(events[Symbol.asyncIterator]().next(), (e: StatusError) => e.code === 410);
});

test("more watches than a connection's stream limit spread over several connections", async (t) => {
  const { client, server } = await setUp(t);
  const stop = new AbortController();
  const watches = Array.from({ length: 30 }, () =>
    client.watch(CONFIGMAPS, { sendInitialEvents: true, signal: stop.signal })[Symbol.asyncIterator](),
  );
  await Promise.all(watches.map((w) => w.next()));
  await client.list(CONFIGMAPS);
  ok(server.sessions() >= 2 && server.sessions() <= 4, `${server.sessions()} connections`);
  stop.abort();
});

test("a lost connection is a 503, and the next request dials again", async (t) => {
  const { client, server } = await setUp(t);
  await client.list(CONFIGMAPS);
  const watch = client.watch(CONFIGMAPS, { sendInitialEvents: true, signal: AbortSignal.timeout(10_000) });
  const events = watch[Symbol.asyncIterator]();
  await events.next();
  const next = events.next();
  server.cut();
  const ended = await next.then(
    (r) => r.done === true,
    (e: unknown) => e instanceof StatusError && e.code === 503,
  );
  ok(ended);
  await client.list(CONFIGMAPS);
  equal(server.sessions(), 1);
});

test("a server that isn't there is a 503 that names it", async () => {
  const client = createClient({ server: "https://127.0.0.1:1" });
  await rejects(
    client.list(CONFIGMAPS),
    (e: StatusError) => e.code === 503 && e.message.includes("https://127.0.0.1:1"),
  );
  client.close();
});

test("a kubeconfig's current context gives server, authority and credentials", (t) => {
  const dir = mkdtempSync(join(tmpdir(), "kubeconfig-"));
  t.after(() => rmSync(dir, { recursive: true }));
  const encoded = Buffer.from("PEM").toString("base64");
  writeFileSync(join(dir, "key.pem"), "KEY");
  writeFileSync(
    join(dir, "config"),
    `apiVersion: v1
kind: Config
current-context: c
clusters: [{name: k, cluster: {server: "https://h:1", certificate-authority-data: ${encoded}}}]
users: [{name: u, user: {client-certificate-data: ${encoded}, client-key: key.pem}}]
contexts: [{name: c, context: {cluster: k, user: u}}]
`,
  );
  const options = loadKubeconfig(join(dir, "config"));
  deepEqual([options.server, options.ca, options.cert, options.key], ["https://h:1", "PEM", "PEM", "KEY"]);
});
