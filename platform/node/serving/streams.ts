/**
 * exec, attach and port-forward: an upgrade (SPDY/3.1) that is carried on to the runtime's streaming server.
 *
 *   POST /exec/NAMESPACE/POD[/UID]/CONTAINER?command=&input=1&output=1&error=1&tty=1
 *   POST /attach/NAMESPACE/POD[/UID]/CONTAINER?input=1…    POST /portForward/NAMESPACE/POD[/UID]
 */
import type { IncomingMessage } from "node:http";
import { connect } from "node:net";
import type { Duplex } from "node:stream";
import type { Agent } from "../agent.ts";
import { allContainers, type NodePod } from "../context.ts";
import type { ObservedContainer } from "../observe.ts";
import { flag, HttpError, pageNotFound, podOf } from "./request.ts";

export async function upgrade(agent: Agent, request: IncomingMessage, socket: Duplex, head: Buffer): Promise<void> {
  const url = new URL(request.url ?? "/", "https://node");
  const [, area = "", namespace = "", name = "", ...rest] = url.pathname.split("/").map(decodeURIComponent);
  // NAMESPACE/POD/CONTAINER or NAMESPACE/POD/UID/CONTAINER; port-forward has no container.
  const [uid, container] = area === "portForward" || rest.length > 1 ? [rest[0], rest[1]] : [undefined, rest[0]];
  const pod = podOf(agent, namespace, name, uid ?? null);
  const target = new URL(await streamUrl(agent, area, pod, container ?? "", url.searchParams));
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
  throw pageNotFound();
}
