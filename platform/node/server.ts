/**
 * The agent's own API, for the API server alone (kubernetes/pkg/kubelet/server): TLS, client certificates of the cluster's authority.
 * Pods are named with their uid, since two tenants may have the same names:
 *
 *   GET  /containerLogs/NAMESPACE/POD/CONTAINER?uid=&follow=&tailLines=&previous=&sinceSeconds=&sinceTime=&timestamps=&limitBytes=&stream=
 *   POST /exec/NAMESPACE/POD/UID/CONTAINER?command=&input=1&output=1&error=1&tty=1     (upgrade: SPDY/3.1)
 *   POST /attach/NAMESPACE/POD/UID/CONTAINER?input=1…    POST /portForward/NAMESPACE/POD/UID     (the same)
 *   GET  /pods   GET /stats/summary   GET /healthz
 */
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import { connect } from "node:net";
import { join } from "node:path";
import type { Duplex } from "node:stream";
import { TLSSocket } from "node:tls";
import { messageOf } from "#platform/base/log.ts";
import { tenantOf } from "#sdk/client/port.ts";
import type { Agent } from "./agent.ts";
import { allContainers, type NodePod, podLogDirectory } from "./context.ts";
import { type LogOptions, readLog } from "./logs.ts";
import type { ObservedContainer } from "./observe.ts";

/** PEM texts. */
export interface ServerCredentials {
  cert: string;
  key: string;
  /** The authority of the clients' certificates. */
  ca: string;
}

/** Who may call: the API server's client certificate, and the operator's. */
const CLIENT_NAMES = new Set(["kube-apiserver-kubelet-client"]);
const CLIENT_GROUPS = new Set(["system:masters"]);

class HttpError extends Error {
  readonly code: number;
  constructor(code: number, message: string) {
    super(message);
    this.code = code;
  }
}

export interface NodeServer {
  close(): Promise<void>;
}

/** Rejects when the port cannot be had. */
export async function startServer(
  agent: Agent,
  credentials: ServerCredentials,
  listen: { host: string; port: number },
): Promise<NodeServer> {
  const sockets = new Set<Duplex>();
  const server: Server = createServer(
    { ...credentials, requestCert: true, rejectUnauthorized: false },
    (request, response) => {
      answer(agent, request, response).catch((error: unknown) => {
        const code = error instanceof HttpError ? error.code : 500;
        if (response.headersSent) return void response.destroy();
        response.writeHead(code, { "content-type": "text/plain; charset=utf-8" });
        response.end(`${messageOf(error)}\n`);
      });
    },
  );
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy());
    upgrade(agent, request, socket, head).catch((error: unknown) => {
      const code = error instanceof HttpError ? error.code : 500;
      const text = messageOf(error);
      socket.end(
        `HTTP/1.1 ${code} Error\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Length: ${Buffer.byteLength(text)}\r\nConnection: close\r\n\r\n${text}`,
      );
    });
  });
  server.on("connection", (socket) => {
    sockets.add(socket);
    socket.on("close", () => sockets.delete(socket));
  });
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(listen.port, listen.host, resolve);
  });
  return {
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const socket of sockets) socket.destroy();
      }),
  };
}

function authorize(request: IncomingMessage): void {
  const socket = request.socket;
  if (!(socket instanceof TLSSocket) || !socket.authorized) throw new HttpError(401, "Unauthorized");
  const { subject } = socket.getPeerCertificate();
  const groups = [subject?.O ?? []].flat();
  const named = [subject?.CN ?? []].flat().some((name) => CLIENT_NAMES.has(name));
  if (!named && !groups.some((group) => CLIENT_GROUPS.has(group))) throw new HttpError(403, "Forbidden");
}

async function answer(agent: Agent, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const url = new URL(request.url ?? "/", "https://node");
  const [, area = "", namespace = "", name = "", container = ""] = url.pathname.split("/").map(decodeURIComponent);
  if (area === "healthz") {
    response.end("ok");
    return;
  }
  authorize(request);
  if (area === "containerLogs")
    await sendLogs(
      agent,
      podOf(agent, namespace, name, url.searchParams.get("uid")),
      container,
      url.searchParams,
      response,
    );
  else if (area === "pods")
    sendJson(response, { kind: "PodList", apiVersion: "v1", metadata: {}, items: agent.pods() });
  else if (area === "stats" && namespace === "summary") sendJson(response, await summary(agent));
  else throw new HttpError(404, "404 page not found");
}

function sendJson(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

function podOf(agent: Agent, namespace: string, name: string, uid: string | null): NodePod {
  const pod = agent
    .pods()
    .find((one) =>
      uid === null || uid === ""
        ? tenantOf(one) === "root" && one.metadata.namespace === namespace && one.metadata.name === name
        : one.metadata.uid === uid && one.metadata.namespace === namespace && one.metadata.name === name,
    );
  if (pod === undefined) throw new HttpError(404, `pod "${name}" in namespace "${namespace}" not found on this node`);
  return pod;
}

const flag = (query: URLSearchParams, name: string): boolean => ["1", "true"].includes(query.get(name) ?? "");

async function sendLogs(
  agent: Agent,
  pod: NodePod,
  name: string,
  query: URLSearchParams,
  response: ServerResponse,
): Promise<void> {
  const all = agent.observer.get(pod.metadata.uid).containers.filter((one) => one.name === name);
  const previous = flag(query, "previous");
  const one = previous
    ? all
        .filter((other) => other.state === "CONTAINER_EXITED")
        .find((other) => other !== all[0] || waitsAgain(pod, name))
    : all[0];
  if (one === undefined) {
    const specs = allContainers(pod);
    if (!specs.some((spec) => spec.name === name))
      throw new HttpError(404, `container ${name} not found in pod ${pod.metadata.name}`);
    if (previous)
      throw new HttpError(400, `previous terminated container "${name}" in pod "${pod.metadata.name}" not found`);
    const why = [...(pod.status?.containerStatuses ?? []), ...(pod.status?.initContainerStatuses ?? [])].find(
      (status) => status.name === name,
    )?.state?.waiting;
    throw new HttpError(400, waitingText(pod, name, why));
  }
  const number = (key: string): number | undefined => {
    const text = query.get(key);
    return text === null ? undefined : Number(text);
  };
  const seconds = number("sinceSeconds");
  const time = query.get("sinceTime");
  const stream = query.get("stream");
  const options: LogOptions = {
    follow: flag(query, "follow"),
    tailLines: number("tailLines"),
    limitBytes: number("limitBytes"),
    timestamps: flag(query, "timestamps"),
    stream: stream === "Stdout" || stream === "Stderr" ? stream : "All",
    ...(seconds === undefined ? {} : { sinceMs: Date.now() - seconds * 1000 }),
    ...(time === null ? {} : { sinceMs: Date.parse(time) }),
  };
  const path = join(podLogDirectory(agent.context.settings, pod), name, `${one.attempt}.log`);
  const running = () =>
    agent.observer
      .get(pod.metadata.uid)
      .containers.some((other) => other.id === one.id && other.state === "CONTAINER_RUNNING");
  const ending = new AbortController();
  response.on("close", () => ending.abort());
  response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
  response.flushHeaders();
  for await (const text of readLog(path, options, running, ending.signal))
    if (!response.write(text) && !ending.signal.aborted)
      await new Promise<void>((resolve) => {
        response.once("drain", resolve);
        ending.signal.addEventListener("abort", () => resolve());
      });
  response.end();
}

/** The newest container is the previous one while the next is not there yet. */
const waitsAgain = (pod: NodePod, name: string): boolean =>
  pod.status?.containerStatuses?.some((one) => one.name === name && one.state?.waiting !== undefined) === true;

function waitingText(pod: NodePod, name: string, why: { reason?: string } | undefined): string {
  const reason = why?.reason;
  const about = `container "${name}" in pod "${pod.metadata.name}"`;
  if (reason === "ErrImagePull" || reason === "ImagePullBackOff")
    return `${about} is waiting to start: trying and failing to pull image`;
  return `${about} is waiting to start: ${reason ?? "ContainerCreating"}`;
}

async function upgrade(agent: Agent, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  authorize(request);
  const url = new URL(request.url ?? "/", "https://node");
  const [, area = "", namespace = "", name = "", uid = "", container = ""] = url.pathname
    .split("/")
    .map(decodeURIComponent);
  const pod = podOf(agent, namespace, name, uid);
  const target = new URL(await streamUrl(agent, area, pod, container, url.searchParams));
  const upstream = connect({ host: target.hostname, port: Number(target.port) });
  upstream.on("error", () => socket.destroy());
  socket.on("error", () => upstream.destroy());
  upstream.on("close", () => socket.destroy());
  socket.on("close", () => upstream.destroy());
  upstream.on("connect", () => {
    const headers: string[] = [];
    for (let i = 0; i + 1 < request.rawHeaders.length; i += 2)
      if (!/^host$/i.test(request.rawHeaders[i] ?? ""))
        headers.push(`${request.rawHeaders[i]}: ${request.rawHeaders[i + 1]}\r\n`);
    upstream.write(
      `${request.method} ${target.pathname}${target.search} HTTP/1.1\r\nHost: ${target.host}\r\n${headers.join("")}\r\n`,
    );
    if (head.length > 0) upstream.write(head);
    socket.pipe(upstream);
    upstream.pipe(socket);
  });
}

async function streamUrl(
  agent: Agent,
  area: string,
  pod: NodePod,
  name: string,
  query: URLSearchParams,
): Promise<string> {
  const { runtime } = agent.context;
  const seen = agent.observer.get(pod.metadata.uid);
  if (area === "portForward") {
    const sandbox = seen.sandboxes.find((one) => one.state === "SANDBOX_READY");
    if (sandbox === undefined) throw new HttpError(404, `pod ${pod.metadata.name} is not running`);
    return await runtime.portForward(sandbox.id);
  }
  const container: ObservedContainer | undefined = seen.containers.find(
    (one) => one.name === name && one.state === "CONTAINER_RUNNING",
  );
  if (container === undefined) throw new HttpError(404, `container not found ("${name}")`);
  const streams = {
    containerId: container.id,
    stdin: flag(query, "input"),
    stdout: flag(query, "output"),
    stderr: flag(query, "error") && !flag(query, "tty"),
    tty: flag(query, "tty"),
  };
  if (area === "exec") return await runtime.exec({ ...streams, command: query.getAll("command") });
  if (area === "attach") {
    const spec = allContainers(pod).find((one) => one.name === name);
    return await runtime.attach({
      ...streams,
      tty: spec?.tty === true,
      stderr: flag(query, "error") && spec?.tty !== true,
    });
  }
  throw new HttpError(404, "404 page not found");
}

/** The part of stats/summary that metrics servers read. */
async function summary(agent: Agent): Promise<object> {
  const stats = await agent.context.runtime.listContainerStats();
  const byId = new Map(stats.map((one) => [one.attributes.id, one]));
  const time = (nanos: string | number | undefined) => new Date(Number(BigInt(nanos ?? 0) / 1_000_000n)).toISOString();
  const pods = agent.pods().map((pod) => ({
    podRef: { name: pod.metadata.name, namespace: pod.metadata.namespace, uid: pod.metadata.uid },
    startTime: pod.status?.startTime,
    containers: agent.observer
      .get(pod.metadata.uid)
      .containers.filter((one) => one.state === "CONTAINER_RUNNING")
      .map((one) => {
        const stat = byId.get(one.id);
        return {
          name: one.name,
          startTime: time(one.startedAt),
          cpu: {
            time: time(stat?.cpu?.timestamp),
            usageCoreNanoSeconds: Number(stat?.cpu?.usageCoreNanoSeconds?.value ?? 0),
          },
          memory: {
            time: time(stat?.memory?.timestamp),
            workingSetBytes: Number(stat?.memory?.workingSetBytes?.value ?? 0),
          },
        };
      }),
  }));
  return { node: { nodeName: agent.context.settings.name }, pods };
}
