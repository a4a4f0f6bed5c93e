/** The actions of probes and lifecycle hooks: exec, httpGet, tcpSocket, grpc, sleep. */
import { request as httpRequest } from "node:http";
import { request as httpsRequest } from "node:https";
import { connect } from "node:net";
import { Client, credentials } from "@grpc/grpc-js";
import { delay } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import type { Container, ExecAction, HTTPGetAction, Probe, TCPSocketAction } from "#sdk/api/generated/types.ts";
import type { Runtime } from "./ports.ts";
import { RuntimeError } from "./ports.ts";

/** `output` as it goes into the event. */
export interface CheckResult {
  ok: boolean;
  output: string;
}

export interface CheckTarget {
  runtime: Runtime;
  container: Container;
  containerId: string;
  podIP: string;
}

interface Action {
  exec?: ExecAction;
  httpGet?: HTTPGetAction;
  tcpSocket?: TCPSocketAction;
  grpc?: Probe["grpc"];
  sleep?: { seconds: number };
}

const BODY_BYTES_MAX = 10 * 1024;
const DEADLINE_EXCEEDED = 4;

/** Never rejects: an error is a failed check. */
export async function check(target: CheckTarget, action: Action, timeoutSeconds: number): Promise<CheckResult> {
  const timeoutMs = timeoutSeconds * 1000;
  try {
    if (action.exec) return await checkExec(target, action.exec, timeoutSeconds);
    if (action.httpGet) return await checkHttp(target, action.httpGet, timeoutMs);
    if (action.tcpSocket) return await checkTcp(target, action.tcpSocket, timeoutMs);
    if (action.grpc) return await checkGrpc(target, action.grpc, timeoutMs);
    if (action.sleep) await delay(action.sleep.seconds * 1000);
    return { ok: true, output: "" };
  } catch (error) {
    return { ok: false, output: messageOf(error) };
  }
}

/** A port by number, or by its name among the container's. */
export function portOf(container: Container, port: number | string): number {
  if (typeof port === "number") return port;
  if (/^\d+$/.test(port)) return Number(port);
  const named = container.ports?.find((one) => one.name === port);
  if (named === undefined)
    throw new Error(`couldn't find port: ${JSON.stringify(port)} in container ${container.name}`);
  return named.containerPort;
}

async function checkExec(target: CheckTarget, action: ExecAction, timeoutSeconds: number): Promise<CheckResult> {
  const command = action.command ?? [];
  try {
    const result = await target.runtime.execSync(target.containerId, command, timeoutSeconds);
    const output = Buffer.concat([result.stdout, result.stderr]).toString("utf8").slice(0, BODY_BYTES_MAX);
    return { ok: result.exitCode === 0, output };
  } catch (error) {
    if (error instanceof RuntimeError && error.code === DEADLINE_EXCEEDED)
      return {
        ok: false,
        output: `command timed out: ${JSON.stringify(command.join(" "))} timed out after ${timeoutSeconds}s`,
      };
    throw error;
  }
}

function checkHttp(target: CheckTarget, action: HTTPGetAction, timeoutMs: number): Promise<CheckResult> {
  const scheme = (action.scheme ?? "HTTP").toLowerCase();
  const host = action.host || target.podIP;
  const port = portOf(target.container, action.port);
  const path = action.path?.startsWith("/") ? action.path : `/${action.path ?? ""}`;
  const url = `${scheme}://${host.includes(":") ? `[${host}]` : host}:${port}${path}`;
  const headers: Record<string, string> = { "user-agent": "kube-probe/1.36", accept: "*/*", connection: "close" };
  for (const { name, value } of action.httpHeaders ?? []) headers[name.toLowerCase()] = value;
  return new Promise((resolve) => {
    const send = scheme === "https" ? httpsRequest : httpRequest;
    const request = send(url, { headers, rejectUnauthorized: false, agent: false }, (response) => {
      const code = response.statusCode ?? 0;
      let body = "";
      response.setEncoding("utf8");
      response.on("data", (chunk: string) => {
        if (body.length < BODY_BYTES_MAX) body += chunk;
      });
      response.on("error", () => undefined);
      response.on("close", () => {
        clearTimeout(timer);
        const ok = code >= 200 && code < 400;
        resolve({ ok, output: ok ? body : `HTTP probe failed with statuscode: ${code}` });
      });
    });
    const timer = setTimeout(
      () => request.destroy(new Error("context deadline exceeded (Client.Timeout exceeded while awaiting headers)")),
      timeoutMs,
    );
    request.on("error", (error) => {
      clearTimeout(timer);
      resolve({ ok: false, output: `Get ${JSON.stringify(url)}: ${dialText(error, host, port)}` });
    });
    request.end();
  });
}

/** Go's wording of a refused connection, which people search for. */
function dialText(error: Error, host: string, port: number): string {
  const code = "code" in error ? error.code : undefined;
  if (code === "ECONNREFUSED") return `dial tcp ${host}:${port}: connect: connection refused`;
  if (code === "EHOSTUNREACH") return `dial tcp ${host}:${port}: connect: no route to host`;
  return error.message;
}

function checkTcp(target: CheckTarget, action: TCPSocketAction, timeoutMs: number): Promise<CheckResult> {
  const host = action.host || target.podIP;
  const port = portOf(target.container, action.port);
  return new Promise((resolve) => {
    const socket = connect({ host, port, timeout: timeoutMs });
    const end = (result: CheckResult) => {
      socket.destroy();
      resolve(result);
    };
    socket.on("connect", () => end({ ok: true, output: "" }));
    socket.on("timeout", () => end({ ok: false, output: `dial tcp ${host}:${port}: i/o timeout` }));
    socket.on("error", (error) => end({ ok: false, output: dialText(error, host, port) }));
  });
}

/** grpc.health.v1: request { 1: service }, response { 1: status }, SERVING is 1. */
function checkGrpc(target: CheckTarget, action: NonNullable<Probe["grpc"]>, timeoutMs: number): Promise<CheckResult> {
  const client = new Client(`${target.podIP}:${action.port}`, credentials.createInsecure());
  return new Promise((resolve) => {
    client.makeUnaryRequest(
      "/grpc.health.v1.Health/Check",
      (service: string) => {
        const name = Buffer.from(service);
        return name.length === 0 ? name : Buffer.concat([Buffer.from([0x0a, name.length]), name]);
      },
      (bytes: Buffer) => (bytes[0] === 8 ? (bytes[1] ?? 0) : 0),
      action.service ?? "",
      { deadline: Date.now() + timeoutMs },
      (error, status) => {
        client.close();
        if (error !== null) resolve({ ok: false, output: `error: health rpc failed: ${error.message}` });
        else resolve({ ok: status === 1, output: status === 1 ? "" : `service unhealthy (responded with ${status})` });
      },
    );
  });
}
