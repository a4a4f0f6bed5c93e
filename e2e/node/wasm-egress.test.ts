/** What a pod that is a component may ask of others: what is reachable in the network of its own, by its own names and authorities. */
import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { type AddressInfo, createConnection, createServer as createTcpServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { cannotRunLab, createLab, type Lab } from "#platform/network/testing/lab.ts";
import { createWasmRuntime, type WasmRuntime, type WasmRuntimeOptions } from "#platform/node/wasm/runtime.ts";
import { buildPod } from "#sdk/pod/build.ts";
import { selfSigned } from "#sdk/testing/certificate.ts";
import { eventually } from "../support/instance.ts";

const IMAGE = "docker.io/library/program:1";
const SOCKETS = "docker.io/library/sockets:1";
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const HTTP = 8090;
const HTTPS = 8443;
const TCP = 8091;
const LISTENING = 8092;

describe("what pods that are components ask of others", { skip: (await cannotRunLab()) ?? false }, () => {
  const lab: Lab = createLab();
  let directory = "";
  let netns = "";
  let component: Uint8Array;
  let sockets: Uint8Array;
  const runtimes: WasmRuntime[] = [];

  const start = (name: string, namespaces?: WasmRuntimeOptions["namespaces"]): WasmRuntime => {
    const runtime = createWasmRuntime({
      directory: join(directory, name),
      now: Date.now,
      listenAddress: () => undefined,
      ...(namespaces ? { namespaces } : {}),
    });
    runtime.images.add(IMAGE, { component, entrypoint: [], cmd: [], env: [] });
    runtime.images.add(SOCKETS, { component: sockets, entrypoint: [], cmd: [], env: [] });
    runtimes.push(runtime);
    return runtime;
  };

  /** The program's exit code and log. */
  const run = (runtime: WasmRuntime, name: string, ...args: string[]): Promise<[number | undefined, string]> =>
    runImage(runtime, IMAGE, name, args);

  async function runImage(
    runtime: WasmRuntime,
    image: string,
    name: string,
    args: string[],
  ): Promise<[number | undefined, string]> {
    const logDirectory = join(directory, "logs");
    const known = { labels: {}, annotations: {} };
    const sandbox = {
      ...known,
      metadata: { name, namespace: "default", uid: name, attempt: 0 },
      logDirectory,
      dnsConfig: { servers: ["127.0.0.1"], searches: ["test"], options: ["timeout:1", "attempts:1"] },
    };
    const id = await runtime.runPodSandbox(sandbox, "wasm");
    const mounts = [
      { containerPath: "/etc/hosts", hostPath: join(directory, "hosts") },
      { containerPath: ACCOUNT, hostPath: join(directory, "account"), readonly: true },
    ];
    const config = { ...known, metadata: { name }, image: { image }, args, logPath: `${name}.log`, mounts };
    const container = await runtime.createContainer(id, config, sandbox);
    await runtime.startContainer(container);
    const ended = await eventually(`the end of ${name}`, async () => {
      const status = await runtime.containerStatus(container);
      return status.state === "CONTAINER_EXITED" && status;
    });
    await runtime.removePodSandbox(id);
    return [ended.exitCode, readFileSync(join(logDirectory, `${name}.log`), "utf8")];
  }

  before(async () => {
    directory = mkdtempSync(join(tmpdir(), "capstan-egress-"));
    mkdirSync(join(directory, "account"));
    writeFileSync(join(directory, "hosts"), "127.0.0.1 localhost shop.test\n");
    const { cert, key } = await selfSigned("shop.test");
    writeFileSync(join(directory, "account/ca.crt"), cert);
    netns = (await lab.namespace("pod")).name;
    const answer = `(request, response) => {
      let body = "";
      request.on("data", (chunk) => { body += chunk; });
      request.on("end", () => response.end([request.method, request.url, request.headers["x-test"], body].join(" ")));
    }`;
    await lab.node(
      netns,
      `require("node:http").createServer(${answer}).listen(${HTTP}, "127.0.0.1", () =>
        require("node:https").createServer(${JSON.stringify({ cert, key })}, ${answer}).listen(${HTTPS}, "127.0.0.1", () => console.log("listening")))`,
    );
    component = await buildPod(join(import.meta.dirname, "wasm/program"));
    sockets = await buildPod(join(import.meta.dirname, "wasm/sockets"));
  });
  after(async () => {
    for (const runtime of runtimes) runtime.close();
    await lab.close();
    rmSync(directory, { recursive: true, force: true });
  });
  const inNetwork = () => ({ make: async () => `/run/netns/${netns}`, remove: async () => undefined });

  it("goes by the names that the pod knows, and comes back whole", async () => {
    const [code, log] = await run(start("own", inNetwork()), "asks", "ask", `http://shop.test:${HTTP}/prices?of=all`);
    assert.equal(code, 0, log);
    assert.match(log, /answered 200 {2}POST \/prices\?of=all asked question/);
  });

  it("trusts the authority of the pod's own API server over TLS", async () => {
    const [code, log] = await run(start("tls", inNetwork()), "trusts", "ask", `https://shop.test:${HTTPS}/safe`);
    assert.equal(code, 0, log);
    assert.match(log, /POST \/safe asked question/);
  });

  it("does not reach what the machine reaches and the pod's network does not, nor by the machine's names", async (t) => {
    const asked: string[] = [];
    const server = createServer((request, response) => {
      asked.push(request.url ?? "");
      response.end();
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    t.after(() => server.close());
    const { port } = server.address() as AddressInfo;
    const runtime = start("machine", inNetwork());
    for (const [name, host] of [
      ["loopback", "127.0.0.1"],
      ["named", "unknown.test"],
    ] as const) {
      const [code, log] = await run(runtime, name, "ask", `http://${host}:${port}/`);
      assert.equal(code, 1, log);
      assert.match(log, /connection-refused|DNS-error|EAI_AGAIN/);
    }
    assert.deepEqual(asked, []);
  });

  it("is refused where the pod has no network of its own", async () => {
    const [code, log] = await run(start("none"), "refused", "ask", `http://127.0.0.1:${HTTP}/`);
    assert.equal(code, 1, log);
    assert.match(log, /HTTP-request-denied/);
  });

  const ECHO = `require("node:net").createServer((socket) => socket.once("data", (asked) => socket.end("told " + asked)))`;

  it("dials by TCP what its network has, by its own names", async () => {
    await lab.node(netns, `${ECHO}.listen(${TCP}, "127.0.0.1", () => console.log("listening"))`);
    const [code, log] = await runImage(start("dials", inNetwork()), SOCKETS, "dials", ["dial", "shop.test", `${TCP}`]);
    assert.equal(code, 0, log);
    assert.match(log, /heard told question/);
  });

  it("does not dial what the machine has on its loopback, nor anything without a network of its own", async (t) => {
    let dialled = 0;
    const server = createTcpServer((socket) => {
      dialled++;
      socket.end();
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    t.after(() => server.close());
    const port = String((server.address() as AddressInfo).port);
    const [code, log] = await runImage(start("outside", inNetwork()), SOCKETS, "outside", ["dial", "127.0.0.1", port]);
    assert.equal(code, 1, log);
    assert.match(log, /connection-refused/);
    for (const args of [
      ["dial", "127.0.0.1", port],
      ["serve", "9001"],
    ]) {
      const [ended, said] = await runImage(start("without"), SOCKETS, `without-${args[0]}`, args);
      assert.equal(ended, 1, said);
      assert.match(said, /access-denied/);
    }
    assert.equal(dialled, 0);
  });

  it("listens in its own network, and is reached there alone", async () => {
    const runtime = start("serves", inNetwork());
    const served = runImage(runtime, SOCKETS, "serves", ["serve", `${LISTENING}`]);
    await eventually("the pod listens", async () =>
      readFileSync(join(directory, "logs/serves.log"), "utf8").includes("listening"),
    );
    const outside = createConnection(LISTENING, "127.0.0.1");
    const refused = await new Promise<NodeJS.ErrnoException>((done) => outside.once("error", done));
    assert.equal(refused.code, "ECONNREFUSED");
    await lab.node(
      netns,
      `const socket = require("node:net").connect(${LISTENING}, "127.0.0.1", () => socket.write("question"));
       socket.once("data", (answer) => console.log("listening " + answer));`,
    );
    const [code, log] = await served;
    assert.equal(code, 0, log);
    assert.match(log, /was asked question/);
  });
});
