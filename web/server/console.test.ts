/** The console's server against an API in memory: signing in, live lists, who is kept out. */
import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type TestContext, test } from "node:test";
import { createTRPCClient, createWSClient, TRPCClientError, wsLink } from "@trpc/client";
import { WebSocket } from "ws";
import { forbidden, unauthorized } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { createFakeApi } from "#sdk/testing/fake-api.ts";
import { until } from "#sdk/testing/until.ts";
import { createConsole } from "./index.ts";
import type { UserConnection } from "./port.ts";
import type { LiveMessage } from "./resources/live.ts";
import type { Row } from "./resources/views.ts";
import type { AppRouter } from "./router.ts";

const PODS = { group: "", version: "v1", resource: "pods" };
const silent = { info: () => undefined, warn: () => undefined, error: () => undefined };

function connectionTo(client: Client): UserConnection {
  return {
    identity: { name: "ann", groups: ["dev"], tenant: "", namespace: "default" },
    client,
    transport: { send: () => Promise.reject(new Error("no transport")), close: () => undefined },
    headers: {},
    close: () => undefined,
  };
}

async function setUp(t: TestContext, wrap: (client: Client) => Client = (client) => client) {
  const api = createFakeApi();
  const staticDir = mkdtempSync(join(tmpdir(), "console-"));
  writeFileSync(join(staticDir, "index.html"), "<title>Capstan</title>");
  const client: Client = {
    ...wrap(api.client),
    tenant: (name) => (name === "" ? client : wrap(api.client.tenant(name))),
  };
  const console_ = await createConsole({
    apiUrl: "https://127.0.0.1:1",
    ca: "",
    host: "127.0.0.1",
    port: 0,
    log: silent,
    staticDir,
    connect: ({ token }) =>
      token === "good" ? Promise.resolve(connectionTo(client)) : Promise.reject(unauthorized("not accepted")),
  });
  t.after(async () => {
    await console_.close();
    rmSync(staticDir, { recursive: true });
  });
  const post = (procedure: string, body: unknown, headers: Record<string, string> = {}) =>
    fetch(`${console_.url}/api/trpc/${procedure}`, {
      method: "POST",
      body: JSON.stringify(body),
      headers: { "content-type": "application/json", ...headers },
    });
  const signIn = async (): Promise<string> => {
    const response = await post("session.signIn", { token: "good" });
    assert.equal(response.status, 200);
    return (response.headers.get("set-cookie") ?? "").split(";")[0] ?? "";
  };
  const open = (cookie: string) => {
    const Socket = class extends WebSocket {
      constructor(url: string) {
        super(url, { headers: { cookie } });
      }
    };
    const socket = createWSClient({
      url: `${console_.url.replace("http", "ws")}/api/live`,
      WebSocket: Socket as unknown as typeof globalThis.WebSocket,
      retryDelayMs: () => 10,
    });
    t.after(() => void socket.close().catch(() => undefined));
    return createTRPCClient<AppRouter>({ links: [wsLink({ client: socket })] });
  };
  return { api, url: console_.url, post, signIn, open };
}

const makePod = (client: Client, name: string) =>
  client.create(PODS, {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default" },
    spec: { containers: [{ name: "c", image: "x" }] },
  } as never);

/** A browser's view of a list, with every message it was told. */
function watchRows(trpc: ReturnType<Awaited<ReturnType<typeof setUp>>["open"]>, lastEventId?: string) {
  const seen = {
    ids: [] as string[],
    names: [] as string[],
    messages: [] as LiveMessage<Row>[],
    error: undefined as unknown,
  };
  const subscription = trpc.resources.rows.subscribe(
    { tenant: "", resource: PODS, namespace: "default", lastEventId },
    {
      onData: ({ id, data }) => {
        seen.ids.push(id);
        seen.messages.push(data);
        if (data.type === "page") seen.names.push(...data.items.map((row) => `+${row.name}`));
        if (data.type !== "changes") return;
        for (const change of data.changes) {
          seen.names.push(change.type === "put" ? `+${change.item.name}` : `-${change.key.split("/")[1]}`);
        }
      },
      onError: (error) => {
        seen.error = error;
      },
    },
  );
  return { seen, stop: () => subscription.unsubscribe() };
}
const synced = (seen: { messages: LiveMessage<Row>[] }) => seen.messages.some(({ type }) => type === "synced");

test("signing in gives a cookie that scripts and other sites cannot use, and tells the name, not the credential", async (t) => {
  const { post } = await setUp(t);
  const response = await post("session.signIn", { token: "good" });
  const cookie = response.headers.get("set-cookie") ?? "";
  assert.match(cookie, /HttpOnly/);
  assert.match(cookie, /SameSite=Strict/);
  const body = await response.text();
  assert.match(body, /"name":"ann"/);
  assert.doesNotMatch(body, /good/);
});

test("a credential that the API server refuses makes no session and says why", async (t) => {
  const { post } = await setUp(t);
  const response = await post("session.signIn", { token: "bad" });
  assert.equal(response.status, 401);
  assert.equal(response.headers.get("set-cookie"), null);
  const { error } = (await response.json()) as { error: { data: { status: { message: string } } } };
  assert.equal(error.data.status.message, "not accepted");
});

test("another site's page can neither sign in nor open a live connection", async (t) => {
  const { post, signIn, url } = await setUp(t);
  assert.equal((await post("session.signIn", { token: "good" }, { origin: "http://evil.example" })).status, 403);
  assert.equal((await post("session.signOut", {}, { "sec-fetch-site": "cross-site" })).status, 403);
  const cookie = await signIn();
  const refusal = (headers: Record<string, string>) =>
    new Promise<number>((resolve, reject) => {
      const ws = new WebSocket(`${url.replace("http", "ws")}/api/live`, { headers });
      ws.once("unexpected-response", (_, response) => resolve(response.statusCode ?? 0));
      ws.once("open", () => reject(new Error("it was opened")));
      ws.on("error", () => undefined);
    });
  assert.equal(await refusal({ cookie, origin: "http://evil.example" }), 403);
  assert.equal(await refusal({}), 401);
});

test("pages come with a strict content security policy, whatever their path", async (t) => {
  const { url } = await setUp(t);
  for (const path of ["/", "/-/default/pods/default/web"]) {
    const response = await fetch(url + path);
    assert.equal(response.status, 200);
    assert.match(await response.text(), /Capstan/);
    assert.match(response.headers.get("content-security-policy") ?? "", /default-src 'none'; script-src 'self'/);
  }
  assert.equal((await fetch(`${url}/api/nothing`)).status, 404);
});

test("a list shows what is there, then what changes", async (t) => {
  const { api, signIn, open } = await setUp(t);
  await makePod(api.client, "a");
  const { seen } = watchRows(open(await signIn()));
  await until(() => synced(seen));
  await makePod(api.client, "b");
  await api.client.delete(PODS, { namespace: "default", name: "a" });
  await until(() => seen.names.length === 3);
  assert.deepEqual(seen.names, ["+a", "+b", "-a"]);
});

test("a browser that comes back with its last id misses nothing and is told nothing twice", async (t) => {
  const { api, signIn, open } = await setUp(t);
  await makePod(api.client, "a");
  const cookie = await signIn();
  const first = watchRows(open(cookie));
  await until(() => synced(first.seen));
  first.stop();
  await makePod(api.client, "b");
  await makePod(api.client, "c");
  const second = watchRows(open(cookie), first.seen.ids.at(-1));
  await until(() => second.seen.names.length >= 2);
  assert.deepEqual(second.seen.names, ["+b", "+c"]);
});

test("a revision that the API server has forgotten begins the list anew", async (t) => {
  const { api, signIn, open } = await setUp(t);
  await makePod(api.client, "a");
  api.compact();
  const { seen } = watchRows(open(await signIn()), "1");
  await until(() => synced(seen));
  assert.deepEqual(
    seen.messages.map(({ type }) => type),
    ["reset", "page", "synced"],
  );
  assert.deepEqual(seen.names, ["+a"]);
});

test("an API server that ends its watches is followed on without a gap", async (t) => {
  const { api, signIn, open } = await setUp(t);
  const { seen } = watchRows(open(await signIn()));
  await until(() => synced(seen));
  api.dropWatches();
  await makePod(api.client, "a");
  await until(() => seen.names.length > 0);
  assert.deepEqual(seen.names, ["+a"]);
});

test("long lists come in pages that say how much is left", async (t) => {
  const { api, signIn, open } = await setUp(t);
  for (let i = 0; i < 1001; i++) await makePod(api.client, `p${i}`);
  const { seen } = watchRows(open(await signIn()));
  await until(() => synced(seen));
  assert.equal(seen.messages.filter(({ type }) => type === "page").length, 3);
  assert.equal(new Set(seen.names).size, 1001);
});

test("what the API server forbids arrives as its Status", async (t) => {
  const { signIn, open } = await setUp(t, (client) => ({
    ...client,
    list: () =>
      Promise.reject(forbidden({ group: "", resource: "pods" }, "", 'User "ann" cannot list resource "pods"')),
  }));
  const { seen } = watchRows(open(await signIn()));
  await until(() => seen.error !== undefined);
  assert.ok(seen.error instanceof TRPCClientError);
  const { status } = (seen.error as TRPCClientError<AppRouter>).data ?? {};
  assert.equal(status?.reason, "Forbidden");
  assert.match(status?.message ?? "", /cannot list resource "pods"/);
});

test("names that would leave their place in a path are refused", async (t) => {
  const { signIn, open } = await setUp(t);
  const trpc = open(await signIn());
  for (const tenant of ["../x", "a/b", "A", "*"]) {
    const error = await new Promise<unknown>((resolve) =>
      trpc.resources.rows.subscribe({ tenant, resource: PODS }, { onError: resolve, onData: () => resolve("data") }),
    );
    assert.ok(error instanceof TRPCClientError, tenant);
  }
});

test("signing out ends the session's live connections", async (t) => {
  const { post, signIn, open, url } = await setUp(t);
  const cookie = await signIn();
  const { seen } = watchRows(open(cookie));
  await until(() => synced(seen));
  const closed = new Promise<number>((resolve) => {
    const ws = new WebSocket(`${url.replace("http", "ws")}/api/live`, { headers: { cookie } });
    ws.once("open", () => void post("session.signOut", {}, { cookie }));
    ws.once("close", resolve);
  });
  assert.equal(await closed, 4401);
  assert.equal((await post("session.signOut", {}, { cookie })).status, 200);
});
