import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from "node:fs";
import { createServer as createHttpServer } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { Server, ServerCredentials, type ServerWritableStream } from "@grpc/grpc-js";
import { systemClock } from "#platform/base/clock.ts";
import { silentLog } from "#platform/base/log.ts";
import { notFound } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { HostFailure } from "#sdk/engine/port.ts";
import { pluginSpecSchema } from "#sdk/plugin/manifest.ts";
import { until } from "#sdk/testing/until.ts";
import { createGrpcCaller, type GrpcCaller } from "./grpc.ts";
import { createHostCalls } from "./index.ts";

const scratch = mkdtempSync(join(tmpdir(), "capstan-capabilities-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const bytes = { requestSerialize: Buffer.from, requestDeserialize: (b: Buffer) => b };
const method = (path: string, responseStream: boolean) => ({
  ...bytes,
  path,
  requestStream: false,
  responseStream,
  responseSerialize: Buffer.from,
  responseDeserialize: (b: Buffer) => b,
});

let server: Server;
let grpc: GrpcCaller;
let denials = 0;
const watchers: ServerWritableStream<Buffer, Buffer>[] = [];
const socket = join(scratch, "test.sock");
before(async () => {
  grpc = createGrpcCaller();
  server = new Server();
  server.addService(
    {
      echo: method("/t.T/Echo", false),
      fail: method("/t.T/Fail", false),
      count: method("/t.T/Count", true),
      watch: method("/t.T/Watch", true),
    },
    {
      watch: (call: ServerWritableStream<Buffer, Buffer>) => void watchers.push(call),
      echo: (call: { request: Buffer }, done: (error: null, answer: Buffer) => void) => done(null, call.request),
      fail: (_call: unknown, done: (error: object) => void) => done({ code: 5, details: "no such thing" }),
      count: (call: { write(b: Buffer): void; end(): void }) => {
        for (let i = 0; i < 5; i++) call.write(Buffer.from([i]));
        call.end();
      },
    },
  );
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (e) => (e ? reject(e) : resolve())),
  );
});
after(() => {
  grpc.close();
  server.forceShutdown();
});

/** Calls as a guest with these capabilities would. */
function guest(capabilities: object[], client?: Client, deadlineMs = 5000, tenant = "root") {
  const spec = pluginSpecSchema.parse({
    version: "1.0.0",
    witVersion: "v1",
    worlds: ["runtime"],
    digest: `sha256:${"0".repeat(64)}`,
    capabilities,
    config: { a: 1 },
  });
  const calls = createHostCalls({
    plugin: "p",
    tenant,
    spec,
    client: client && (() => client),
    grpc,
    variables: { scratch, socket },
    log: silentLog,
    clock: systemClock,
    onDenied: () => denials++,
  });
  return async (name: string, ...args: unknown[]) => {
    const [interfaceName, functionName] = name.split(".");
    const context = { tenant: "root", hook: "test", deadlineAt: Date.now() + deadlineMs };
    return calls(context)(`capstan:plugin/${interfaceName}`, String(functionName), args);
  };
}

const failsWith =
  (reason: string, message = /./) =>
  (error: unknown) => {
    assert.ok(error instanceof HostFailure, String(error));
    const payload = error.payload as { reason: string; message: string };
    assert.equal(payload.reason, reason, payload.message);
    assert.match(payload.message, message);
    return true;
  };

const grpcGrant = { name: "grpc", reason: "r", sockets: { runtime: "{socket}" } };
const execGrant = { name: "exec", reason: "r", programs: { sh: "/bin/sh", absent: "no-such-program" } };
const filesGrant = { name: "files", reason: "r", trees: { state: "{scratch}/tree" } };

describe("P2: without a grant nothing but log, config and clock is there", () => {
  test("the three are there", async () => {
    const call = guest([]);
    await call("log.write", "info", "hello");
  });
  test("everything else is denied and counted", async () => {
    const call = guest([]);
    const target = { group: "", version: "v1", resource: "pods", subresource: "", namespace: "", name: "a" };
    const was = denials;
    await assert.rejects(call("api.get", target), failsWith("Denied"));
    await assert.rejects(
      call("grpc.unary", "runtime", "/t.T/Echo", new Uint8Array(), 0),
      failsWith("Denied", /runtime/),
    );
    await assert.rejects(call("exec.run", "sh", [], [], "", 0), failsWith("Denied"));
    await assert.rejects(call("files.read", "state", "a"), failsWith("Denied"));
    await assert.rejects(call("sockets.open"), failsWith("Denied"));
    assert.equal(denials, was + 5);
  });
  test("a name outside of the grant is denied", async () => {
    const call = guest([grpcGrant, execGrant, filesGrant]);
    await assert.rejects(call("grpc.unary", "other", "/t.T/Echo", new Uint8Array(), 0), failsWith("Denied"));
    await assert.rejects(call("exec.run", "/bin/sh", [], [], "", 0), failsWith("Denied"));
    await assert.rejects(call("exec.run", "constructor", [], [], "", 0), failsWith("Denied"));
    await assert.rejects(call("files.write", "root", "a", "b"), failsWith("Denied"));
  });
});

describe("grpc", () => {
  test("bytes go through a unary call and come back", async () => {
    const call = guest([grpcGrant]);
    assert.deepEqual(
      await call("grpc.unary", "runtime", "/t.T/Echo", new Uint8Array([1, 2, 3]), 0),
      new Uint8Array([1, 2, 3]),
    );
  });
  test("a status is a failure with its name and code", async () => {
    const call = guest([grpcGrant]);
    await assert.rejects(
      call("grpc.unary", "runtime", "/t.T/Fail", new Uint8Array(), 0),
      failsWith("NotFound", /no such thing/),
    );
    await assert.rejects(call("grpc.unary", "runtime", "/t.T/None", new Uint8Array(), 0), failsWith("Unimplemented"));
  });
  test("a socket that is gone is Unavailable at once, and served again when somebody listens there", async () => {
    const path = join(scratch, "restarting.sock");
    const call = guest([{ ...grpcGrant, sockets: { runtime: path } }]);
    const echo = () => call("grpc.unary", "runtime", "/t.T/Echo", new Uint8Array([7]), 0);
    await assert.rejects(echo(), failsWith("Unavailable"));
    const later = new Server();
    later.addService(
      { echo: method("/t.T/Echo", false) },
      { echo: (asked: { request: Buffer }, done: (error: null, answer: Buffer) => void) => done(null, asked.request) },
    );
    await new Promise<void>((resolve, reject) =>
      later.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (e) => (e ? reject(e) : resolve())),
    );
    try {
      for (;;) {
        const answer = await echo().catch((error: unknown) => failsWith("Unavailable")(error) && undefined);
        if (answer) return assert.deepEqual(answer, new Uint8Array([7]));
        await new Promise((next) => setTimeout(next, 50));
      }
    } finally {
      later.forceShutdown();
    }
  });
  test("a server that does not answer fails the call before the plugin's own deadline", async () => {
    const path = join(scratch, "silent.sock");
    const silent = new Server();
    silent.addService({ echo: method("/t.T/Echo", false) }, { echo: () => undefined });
    await new Promise<void>((resolve, reject) =>
      silent.bindAsync(`unix:${path}`, ServerCredentials.createInsecure(), (e) => (e ? reject(e) : resolve())),
    );
    try {
      const call = guest([{ ...grpcGrant, sockets: { runtime: path } }], undefined, 1000);
      await assert.rejects(
        call("grpc.unary", "runtime", "/t.T/Echo", new Uint8Array(), 0),
        failsWith("DeadlineExceeded"),
      );
    } finally {
      silent.forceShutdown();
    }
  });
  test("a stream is collected to its end or its bound", async () => {
    const call = guest([grpcGrant]);
    const all = await call("grpc.collect", "runtime", "/t.T/Count", new Uint8Array(), 0, 0);
    assert.deepEqual(
      all,
      [0, 1, 2, 3, 4].map((n) => new Uint8Array([n])),
    );
    const two = (await call("grpc.collect", "runtime", "/t.T/Count", new Uint8Array(), 2, 0)) as unknown[];
    assert.equal(two.length, 2);
  });
  test("a stream that stays open answers its newest message, and once that it ended", async () => {
    const call = guest([grpcGrant]);
    const latest = (timeoutMs = 0) => call("grpc.latest", "runtime", "/t.T/Watch", new Uint8Array(), timeoutMs);
    await assert.rejects(latest(20), failsWith("DeadlineExceeded"));
    const first = latest();
    await until(() => watchers.length === 1);
    watchers[0]?.write(Buffer.from([1]));
    assert.deepEqual(await first, new Uint8Array([1]));
    watchers[0]?.write(Buffer.from([2]));
    await until(async () => ((await latest()) as Uint8Array)[0] === 2);
    assert.equal(watchers.length, 1);
    watchers[0]?.end();
    await until(async () => {
      const failure = await latest().then(
        () => undefined,
        (error: unknown) => error,
      );
      return failure !== undefined && failsWith("Unavailable")(failure);
    });
    const again = latest();
    await until(() => watchers.length === 2);
    watchers[1]?.write(Buffer.from([3]));
    assert.deepEqual(await again, new Uint8Array([3]));
    watchers[1]?.end();
  });
});

describe("exec", () => {
  const call = guest([execGrant]);
  test("exit code, output, input and environment", async () => {
    const script = 'cat; echo "$WHO" >&2; exit 3';
    const output = await call("exec.run", "sh", ["-c", script], [["WHO", "me"]], "in", 0);
    assert.deepEqual(output, { exitCode: 3, stdout: "in", stderr: "me\n" });
  });
  test("the host's environment does not reach it", async () => {
    process.env["CAPSTAN_TEST_SECRET"] = "1";
    const output = (await call("exec.run", "sh", ["-c", "echo $CAPSTAN_TEST_SECRET"], [], "", 0)) as { stdout: string };
    assert.equal(output.stdout, "\n");
  });
  test("a program that takes too long is ended, one that is not there is named", async () => {
    await assert.rejects(
      call("exec.run", "sh", ["-c", "exec sleep 60"], [], "", 50),
      failsWith("Timeout", /longer than 50 ms/),
    );
    await assert.rejects(call("exec.run", "absent", [], [], "", 0), failsWith("NotFound", /not installed/));
  });
  test("a daemon left behind with open output is not waited for", async () => {
    const script = "sleep 3 & echo started";
    assert.deepEqual(await call("exec.run", "sh", ["-c", script], [], "", 2000), {
      exitCode: 0,
      stdout: "started\n",
      stderr: "",
    });
  });
});

describe("files", () => {
  const call = guest([filesGrant]);
  test("written whole, read, listed and removed below the tree", async () => {
    await call("files.write", "state", "a/b.txt", "text");
    assert.equal(readFileSync(join(scratch, "tree/a/b.txt"), "utf8"), "text");
    assert.equal(await call("files.read", "state", "a/b.txt"), "text");
    assert.deepEqual(await call("files.list", "state", "a"), ["b.txt"]);
    assert.deepEqual(await call("files.list", "state", "none"), []);
    await call("files.remove", "state", "a/b.txt");
    await call("files.remove", "state", "a/b.txt");
    await assert.rejects(call("files.read", "state", "a/b.txt"), failsWith("NotFound"));
  });
  test("no path leads out of the tree, by dots or by links", async () => {
    await call("files.write", "state", "x", "");
    symlinkSync("/etc", join(scratch, "tree/link"));
    for (const path of ["../out", "/etc/passwd", "a/../../out", "link/passwd"]) {
      await assert.rejects(call("files.read", "state", path), failsWith("Denied"));
    }
    await assert.rejects(call("files.write", "state", "link/capstan-test", "x"), failsWith("Denied"));
    assert.ok(!existsSync("/etc/capstan-test"));
  });
});

describe("api", () => {
  const pods = { group: "", version: "v1", resource: "pods", subresource: "", namespace: "default", name: "a" };
  const client = {
    get: async (_r: unknown, n: { name: string }) => {
      if (n.name !== "a") throw notFound({ group: "", resource: "pods" }, n.name);
      return { metadata: { name: "a" } };
    },
    patch: async (_r: unknown, _n: unknown, patch: unknown, o: unknown) => ({ patch, o }),
  } as unknown as Client;
  test("an object comes as JSON text, an error with the API's reason and code", async () => {
    const call = guest([{ name: "api", reason: "r" }], client);
    assert.equal(await call("api.get", pods), '{"metadata":{"name":"a"}}');
    await assert.rejects(call("api.get", { ...pods, name: "b" }), failsWith("NotFound", /pods "b" not found/));
  });
  test("writing needs the access to write", async () => {
    const read = guest([{ name: "api", reason: "r" }], client);
    await assert.rejects(read("api.patch", pods, "merge", "{}"), failsWith("Denied", /api patch/));
    const write = guest([{ name: "api", reason: "r", access: "write" }], client);
    const { patch, o } = JSON.parse(String(await write("api.patch", pods, "merge", '{"a":1}')));
    assert.deepEqual([patch, o], [{ type: "merge", body: { a: 1 } }, { fieldManager: "p" }]);
  });
});

describe("http", () => {
  const served = createHttpServer((request, response) => {
    response.writeHead(request.method === "POST" ? 201 : 302, { location: "/elsewhere", "x-one": "1" });
    request.pipe(response);
  });
  let origin = "";
  before(
    () =>
      new Promise<void>((resolve) =>
        served.listen(0, "127.0.0.1", () => {
          const address = served.address();
          origin = `http://127.0.0.1:${typeof address === "object" ? address?.port : 0}`;
          resolve();
        }),
      ),
  );
  after(() => void served.close());
  const send = (origins: string[], url: string, method = "GET", tenant = "root") =>
    guest(
      [{ name: "http", reason: "r", origins }],
      undefined,
      5000,
      tenant,
    )("http.send", {
      method,
      url,
      headers: [["x-asked", "yes"]],
      body: new TextEncoder().encode(method === "POST" ? "hello" : ""),
      timeoutMs: 0,
    }) as Promise<{ status: number; headers: [string, string][]; body: Uint8Array }>;

  test("any status is an answer, and a redirect is not followed", async () => {
    const made = await send([origin], `${origin}/x`, "POST");
    assert.deepEqual([made.status, new TextDecoder().decode(made.body)], [201, "hello"]);
    assert.ok(made.headers.some(([name, value]) => name === "x-one" && value === "1"));
    assert.equal((await send([origin], `${origin}/x`)).status, 302);
  });
  test("another origin than the granted is denied, however it is written", async () => {
    const others = [`${origin.replace("127.0.0.1", "localhost")}/`, "http://127.0.0.1:1/", `${origin}@evil.example/`];
    for (const url of others) await assert.rejects(send([origin], url), failsWith("Denied"));
    await assert.rejects(send([origin], "file:///etc/passwd"), failsWith("Invalid"));
  });
  test("a tenant's plugin reaches nothing of the platform's own machine, by address or by name", async () => {
    await assert.rejects(send([origin], origin, "GET", "acme"), failsWith("Denied"));
    const named = origin.replace("127.0.0.1", "localhost");
    await assert.rejects(send([named], named, "GET", "acme"), failsWith("Unavailable", /platform's own machine/));
  });
  test("nobody there is Unavailable", async () => {
    await assert.rejects(send(["http://127.0.0.1:1"], "http://127.0.0.1:1/"), failsWith("Unavailable"));
  });
});
