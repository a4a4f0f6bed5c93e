import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { WebSocket } from "ws";
import type { PodForStreaming, StreamingSubresource } from "#platform/apiserver/streaming/port.ts";
import { createStreaming } from "#platform/apiserver/streaming/streaming.ts";
import { podPaths } from "#platform/node/context.ts";
import type { Container, Pod, PodSpec } from "#sdk/api/generated/types.ts";
import { missing, type NodeUnderTest, startNode } from "./node-under-test.ts";

const PORT = 27250;
const GATE = 27443;
const why = missing();

const container = (command: string, more: Partial<Container> = {}): Container => ({
  name: "main",
  image: "busybox",
  imagePullPolicy: "IfNotPresent",
  command: ["sh", "-c", command],
  ...more,
});
const FOREVER = "trap 'exit 0' TERM; sleep 100000 & wait";

function podOf(name: string, spec: Partial<PodSpec>): Pod {
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: { namespace: "default", name },
    spec: { nodeName: "n1", terminationGracePeriodSeconds: 3, containers: [container(FOREVER)], ...spec },
    status: { phase: "Pending" },
  };
}

const isReady = (pod: Pod | undefined): boolean =>
  pod?.status?.conditions?.some((one) => one.type === "Ready" && one.status === "True") === true;
const first = (pod: Pod) => pod.status?.containerStatuses?.[0];

describe("a node with containerd, through its components", { skip: why ?? false, timeout: 180_000 }, () => {
  let node: NodeUnderTest;
  before(async () => {
    node = await startNode(PORT);
  });
  after(async () => await node?.close());
  const put = (pod: Pod, tenant = "root") => node.api.put("pods", pod, tenant);
  const until = (name: string, holds: (pod: Pod | undefined) => boolean, tenant = "root") =>
    node.api.until<Pod>("pods", "default", name, holds, 60_000, tenant);
  const gone = (name: string, tenant = "root") => until(name, (pod) => pod === undefined, tenant);
  const remove = async (...names: string[]) => {
    for (const name of names) node.api.deletePod("default", name, 1);
    await Promise.all(names.map((name) => gone(name)));
  };

  it("registers itself with what it has, and is Ready", () => {
    const status = node.api.get<import("#sdk/api/generated/types.ts").Node>("nodes", "", "n1")?.status;
    assert.equal(status?.conditions?.find((one) => one.type === "Ready")?.status, "True");
    assert.match(status?.nodeInfo?.containerRuntimeVersion ?? "", /^containerd:\/\/\d/);
    assert.equal(status?.capacity?.["pods"], "110");
  });

  it("runs init and app containers with their environment, volumes and probes, and serves the page", async () => {
    node.api.put("configmaps", { metadata: { namespace: "default", name: "page" }, data: { greeting: "Moin" } } as Pod);
    put(
      podOf("web", {
        initContainers: [
          container("echo made > /work/file", { name: "init", volumeMounts: [{ name: "work", mountPath: "/work" }] }),
        ],
        containers: [
          {
            name: "main",
            image: "capstan.dev/hello:1",
            imagePullPolicy: "Never",
            ports: [{ name: "http", containerPort: 8080 }],
            resources: { limits: { memory: "64Mi", cpu: "500m" } },
            env: [
              { name: "IP", valueFrom: { fieldRef: { fieldPath: "status.podIP" } } },
              { name: "URL", value: "http://$(IP):8080" },
            ],
            readinessProbe: { httpGet: { path: "/", port: "http" }, periodSeconds: 1 },
            volumeMounts: [
              { name: "page", mountPath: "/config" },
              { name: "work", mountPath: "/work" },
            ],
          },
        ],
        volumes: [
          { name: "page", configMap: { name: "page" } },
          { name: "work", emptyDir: { medium: "Memory" } },
        ],
      }),
    );
    const pod = await until("web", isReady);
    assert.equal(pod.status?.phase, "Running");
    assert.equal(pod.status?.initContainerStatuses?.[0]?.state?.terminated?.reason, "Completed");
    const ip = pod.status?.podIP ?? "";
    assert.equal(await (await fetch(`http://${ip}:8080/`)).text(), "Moin from web\n");
    const id = first(pod)?.containerID?.replace("containerd://", "") ?? "";
    const said = await node.agent().context.runtime.execSync(id, ["sh", "-c", "echo $URL; cat /work/file"], 10);
    assert.equal(Buffer.from(said.stdout).toString(), `http://${ip}:8080\nmade\n`);
    assert.ok((node.plugins().status("cri")?.calls ?? 0) > 10);
    assert.ok((node.plugins().status("cni")?.calls ?? 0) > 0);
  });

  it("streams exec and logs to a WebSocket client with the exit code", async () => {
    const pod = node.api.get<Pod>("pods", "default", "web");
    const gate = await startGate(node, pod as unknown as PodForStreaming);
    try {
      const query = new URLSearchParams({ stdin: "true", stdout: "true", stderr: "true" });
      for (const word of ["sh", "-c", "cat; echo bad >&2; exit 7"]) query.append("command", word);
      const socket = new WebSocket(`wss://127.0.0.1:${GATE}/exec?${query}`, "v5.channel.k8s.io", {
        rejectUnauthorized: false,
      });
      const got: Record<number, string> = {};
      socket.on("message", (data: Buffer) => {
        got[data[0] ?? 9] = (got[data[0] ?? 9] ?? "") + data.subarray(1).toString();
      });
      await new Promise((resolve) => socket.once("open", resolve));
      socket.send(Buffer.concat([Buffer.from([0]), Buffer.from("hello")]));
      socket.send(Buffer.from([255, 0]));
      await new Promise((resolve) => socket.once("close", resolve));
      assert.equal(got[1], "hello");
      assert.equal(got[2], "bad\n");
      const status = JSON.parse(got[3] ?? "{}") as { reason?: string; details?: { causes?: { message?: string }[] } };
      assert.equal(status.reason, "NonZeroExitCode");
      assert.equal(status.details?.causes?.[0]?.message, "7");
    } finally {
      gate.close();
    }
  });

  it("speaks to older WebSocket clients: errors in words, base64, ports in channels", async () => {
    const gate = await startGate(node, node.api.get<Pod>("pods", "default", "web") as unknown as PodForStreaming);
    const speak = (path: string, protocols: string[], send: (socket: WebSocket) => void) =>
      new Promise<string[]>((resolve, reject) => {
        const socket = new WebSocket(`wss://127.0.0.1:${GATE}/${path}`, protocols, { rejectUnauthorized: false });
        const got: string[] = [];
        socket.on("message", (data: Buffer) => got.push(data.toString("latin1")));
        socket.once("open", () => send(socket));
        socket.once("error", reject);
        socket.once("close", () => resolve(got));
      });
    try {
      const fails = "exec?stdout=1&stderr=1&command=sh&command=-c&command=echo%20hi;exit%203";
      const first = await speak(fails, ["channel.k8s.io"], () => undefined);
      assert.deepEqual(first.slice(0, 2), ["\u0001", "\u0001hi\n"]);
      assert.ok(first[2]?.startsWith("\u0003command terminated with non-zero exit code"), first[2] ?? "");
      const base64 = await speak(fails, ["base64.channel.k8s.io"], () => undefined);
      assert.equal(base64[1], `1${btoa("hi\n")}`);
      const page = await speak("portforward?ports=8080", ["v4.channel.k8s.io"], (socket) =>
        socket.send(Buffer.from("\u0000GET / HTTP/1.0\r\n\r\n")),
      );
      assert.deepEqual(page.slice(0, 2), ["\u0000\u0090\u001f", "\u0001\u0090\u001f"]);
      assert.match(page.slice(2).join(""), /Moin from web/);
    } finally {
      gate.close();
    }
  });

  it("ends a pod in order: the hook, then the signal, then what starts before the others", async (t) => {
    const path = mkdtempSync(join(tmpdir(), "capstan-order-"));
    t.after(() => rmSync(path, { recursive: true }));
    const volumeMounts = [{ name: "order", mountPath: "/order" }];
    const ends = (name: string) => `trap 'echo ${name} >> /order/log; exit 0' TERM; sleep 100000 & wait`;
    const preStop = { exec: { command: ["sh", "-c", "sleep 1; echo hook >> /order/log"] } };
    put(
      podOf("order", {
        terminationGracePeriodSeconds: 30,
        initContainers: [container(ends("sidecar"), { name: "s", restartPolicy: "Always", volumeMounts })],
        containers: [container(ends("main"), { volumeMounts, lifecycle: { preStop } })],
        volumes: [{ name: "order", hostPath: { path } }],
      }),
    );
    await until("order", isReady);
    node.api.deletePod("default", "order", 20);
    await gone("order");
    assert.equal(readFileSync(join(path, "log"), "utf8"), "hook\nmain\nsidecar\n");
  });

  it("gives two tenants' pods of one name each their own place", async () => {
    put(podOf("web", {}), "blue");
    const other = await until("web", isReady, "blue");
    const own = await until("web", isReady);
    assert.notEqual(other.status?.podIP, own.status?.podIP);
    node.api.deletePod("default", "web", 1, "blue");
    await gone("web", "blue");
    assert.ok(isReady(node.api.get<Pod>("pods", "default", "web")));
  });

  it("says why a container does not run", async () => {
    put(podOf("crash", { containers: [container("echo bye > /dev/termination-log; exit 3")] }));
    put(podOf("image", { containers: [container("true", { image: "127.0.0.1:1/nothing:1" })] }));
    put(podOf("never", { containers: [container("true", { image: "busybox:nope", imagePullPolicy: "Never" })] }));
    put(podOf("name", { containers: [container("true", { image: "Not An Image" })] }));
    put(podOf("config", { containers: [container("true", { envFrom: [{ configMapRef: { name: "absent" } }] })] }));
    put(podOf("command", { containers: [container("", { command: ["/nothing"] })] }));
    put(
      podOf("oom", {
        restartPolicy: "Never",
        containers: [container("tail /dev/zero", { resources: { limits: { memory: "16Mi" } } })],
      }),
    );
    const waits = (name: string, ...reasons: string[]) =>
      until(name, (pod) => reasons.includes((pod && first(pod)?.state?.waiting?.reason) ?? ""));
    const crash = await waits("crash", "CrashLoopBackOff");
    assert.equal(first(crash)?.lastState?.terminated?.exitCode, 3);
    assert.equal(first(crash)?.lastState?.terminated?.message, "bye\n");
    assert.match(
      first(crash)?.state?.waiting?.message ?? "",
      /^back-off 10s restarting failed container=main pod=crash_default\(/,
    );
    await waits("image", "ErrImagePull", "ImagePullBackOff");
    await waits("never", "ErrImageNeverPull");
    await waits("name", "InvalidImageName");
    await waits("config", "CreateContainerConfigError");
    const command = await waits("command", "RunContainerError", "CrashLoopBackOff");
    assert.equal(first(command)?.lastState?.terminated?.exitCode, 128);
    const oom = await until("oom", (pod) => pod?.status?.phase === "Failed");
    assert.equal(first(oom)?.state?.terminated?.reason, "OOMKilled");
    assert.equal(first(oom)?.state?.terminated?.exitCode, 137);
    await remove("crash", "image", "never", "name", "config", "command", "oom");
  });

  it("restarts a container whose liveness probe fails, and ends a pod that has done its work", async () => {
    const failing = { exec: { command: ["false"] }, periodSeconds: 1, failureThreshold: 1 };
    put(podOf("alive", { containers: [container(FOREVER, { livenessProbe: failing })] }));
    put(podOf("job", { restartPolicy: "OnFailure", containers: [container("exit 0")] }));
    await until("job", (pod) => pod?.status?.phase === "Succeeded");
    const restarted = await until("alive", (pod) => ((pod && first(pod)?.restartCount) ?? 0) > 0);
    assert.notEqual(first(restarted)?.lastState?.terminated, undefined);
    assert.ok(
      node.api.events.some(
        (one) => one.name === "alive" && one.message === "Container main failed liveness probe, will be restarted",
      ),
    );
    await remove("alive", "job");
  });

  it("adopts what runs after the agent and containerd were killed", async () => {
    const id = first(await until("web", isReady))?.containerID;
    await node.stopAgent();
    await node.replaceContainerd();
    await node.startAgent();
    const pod = await until("web", isReady);
    assert.equal(first(pod)?.containerID, id);
    assert.equal(first(pod)?.restartCount, 0);
    assert.equal((await fetch(`http://${pod.status?.podIP}:8080/`)).status, 200);
  });

  it("adds an ephemeral container that sees the processes of another", async () => {
    const pod = await until("web", isReady);
    const { name: _, ...look } = container("grep -q httpd /proc/1/cmdline || grep -q hello /proc/1/cmdline");
    const ephemeralContainers = [{ ...look, name: "look", targetContainerName: "main" }];
    put({ ...pod, spec: { ...(pod.spec ?? { containers: [] }), ephemeralContainers } });
    const looked = await until(
      "web",
      (now) => now?.status?.ephemeralContainerStatuses?.[0]?.state?.terminated !== undefined,
    );
    assert.equal(looked.status?.ephemeralContainerStatuses?.[0]?.state?.terminated?.exitCode, 0);
    assert.ok(isReady(looked));
  });

  it("leaves a pod in ContainerCreating and says why while the network component is off", async () => {
    node.setPlugin("cni", false);
    put(podOf("offline", {}));
    await until("offline", () =>
      node.api.events.some((one) => one.name === "offline" && one.reason === "FailedCreatePodSandBox"),
    );
    const pod = node.api.get<Pod>("pods", "default", "offline");
    assert.equal(pod && first(pod)?.state?.waiting?.reason, "ContainerCreating");
    assert.match(
      node.api.events.find((one) => one.name === "offline")?.message ?? "",
      /failed to setup network for sandbox .*network/,
    );
    node.setPlugin("cni", true);
    await until("offline", isReady);
    await remove("offline");
  });

  it("leaves nothing of a deleted pod", async () => {
    const agent = node.agent();
    const uid = node.api.get<Pod>("pods", "default", "web")?.metadata.uid ?? "";
    await remove("web");
    await agent.observer.refresh();
    assert.deepEqual(agent.observer.get(uid), { sandboxes: [], containers: [] });
    assert.equal(existsSync(podPaths(agent.context.settings, uid).base), false);
    const cgroup = existsSync("/sys/fs/cgroup/cgroup.controllers") ? "" : "memory";
    const left = readdirSync(join("/sys/fs/cgroup", cgroup, node.cgroupRoot), { recursive: true }).map(String);
    assert.deepEqual(
      left.filter((path) => path.includes(uid)),
      [],
    );
  });
});

/** The API server's end of a stream, without the rest of an API server. */
async function startGate(node: NodeUnderTest, pod: PodForStreaming): Promise<Server> {
  const { pem } = node;
  const streaming = createStreaming({
    ca: pem("ca.crt"),
    cert: pem("apiserver-kubelet-client.crt"),
    key: pem("apiserver-kubelet-client.key"),
  });
  const server = createServer({ cert: pem("apiserver.crt"), key: pem("apiserver.key") });
  server.on("upgrade", (request, socket, head) => {
    const url = new URL(request.url ?? "/", "https://gate");
    const subresource = url.pathname.slice(1) as StreamingSubresource;
    const target = { tenant: "root", pod, query: url.searchParams, node: { host: "127.0.0.1", port: PORT } };
    streaming.handleUpgrade(request, socket, head, subresource, target).catch(() => socket.destroy());
  });
  await new Promise<void>((resolve) => server.listen(GATE, "127.0.0.1", resolve));
  return server;
}
