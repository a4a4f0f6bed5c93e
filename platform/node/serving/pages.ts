/** What the agent answers at once: pods, statistics, metrics, its configuration, the machine's logs. */
import { createReadStream } from "node:fs";
import { readdir, realpath, stat } from "node:fs/promises";
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import type { Agent } from "../agent.ts";
import { agentMetrics, cadvisorMetrics, resourceMetrics } from "../stats/metrics.ts";
import { pageNotFound } from "./request.ts";

const MACHINE_LOGS = "/var/log";
const METRICS = "text/plain; version=0.0.4; charset=utf-8";

export function sendJson(response: ServerResponse, body: unknown): void {
  response.writeHead(200, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

export function sendText(response: ServerResponse, body: string, type = "text/plain; charset=utf-8"): void {
  response.writeHead(200, { "content-type": type });
  response.end(body);
}

const list = (items: unknown[]) => ({ kind: "PodList", apiVersion: "v1", metadata: {}, items });

/** False where there is no such page. */
export async function sendPage(agent: Agent, url: URL, response: ServerResponse): Promise<boolean> {
  const { context, observer, statistics } = agent;
  const path = url.pathname.replace(/\/$/, "");
  switch (path) {
    case "/pods":
      sendJson(response, list(agent.pods()));
      return true;
    case "/runningpods":
      sendJson(response, list(runningPods(agent)));
      return true;
    case "/stats/summary":
      sendJson(response, await statistics.summary(url.searchParams.get("only_cpu_and_memory") === "true"));
      return true;
    case "/metrics/resource":
      sendText(response, resourceMetrics(await statistics.summary(true)), METRICS);
      return true;
    case "/metrics/cadvisor":
      sendText(response, cadvisorMetrics(await statistics.summary(false), context, observer), METRICS);
      return true;
    case "/metrics/probes":
      sendText(response, "", METRICS);
      return true;
    case "/metrics":
      sendText(response, agentMetrics(context, observer, agent.pods()), METRICS);
      return true;
    case "/configz":
      sendJson(response, { kubeletconfig: agent.configuration });
      return true;
    default:
      if (path !== "/logs" && !path.startsWith("/logs/")) return false;
      await sendMachineLog(decodeURIComponent(path.slice("/logs".length)), response);
      return true;
  }
}

/** What the runtime has, whatever the API says of it. */
function runningPods({ observer }: Agent): object[] {
  return observer.uids().flatMap((uid) => {
    const { sandboxes, containers } = observer.get(uid);
    const sandbox = sandboxes.find((one) => one.state === "SANDBOX_READY");
    if (sandbox === undefined) return [];
    const { name, namespace } = sandbox.metadata;
    const running = containers.filter((one) => one.state === "CONTAINER_RUNNING");
    return [
      {
        metadata: { name, namespace, uid },
        spec: { containers: running.map((one) => ({ name: one.name, image: one.image?.image ?? "", resources: {} })) },
        status: {},
      },
    ];
  });
}

/** As Go's file server shows a directory: one link a line. Links out of it are not followed. */
async function sendMachineLog(path: string, response: ServerResponse): Promise<void> {
  const file = await realpath(join(MACHINE_LOGS, path)).catch(() => undefined);
  if (file === undefined || (file !== MACHINE_LOGS && !file.startsWith(`${MACHINE_LOGS}/`))) throw pageNotFound();
  if (!(await stat(file)).isDirectory()) {
    response.writeHead(200, { "content-type": "text/plain; charset=utf-8" });
    return await pipeline(createReadStream(file), response);
  }
  const escaped: Record<string, string> = { "&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&#34;" };
  const names = (await readdir(file, { withFileTypes: true })).map(
    (one) => `${one.name}${one.isDirectory() ? "/" : ""}`,
  );
  const links = names
    .sort()
    .map((name) => `<a href="${encodeURI(name)}">${name.replace(/[&<>"]/g, (sign) => escaped[sign] ?? sign)}</a>\n`);
  sendText(response, `<pre>\n${links.join("")}</pre>\n`, "text/html; charset=utf-8");
}
