/** GET /containerLogs/NAMESPACE/POD/CONTAINER?uid=&follow=&tailLines=&previous=&sinceSeconds=&sinceTime=&timestamps=&limitBytes=&stream= */
import type { ServerResponse } from "node:http";
import { join } from "node:path";
import type { Agent } from "../agent.ts";
import { allContainers, type NodePod, podLogDirectory } from "../context.ts";
import { type LogOptions, readLog } from "../logs.ts";
import { flag, HttpError } from "./request.ts";

export async function sendLogs(
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
