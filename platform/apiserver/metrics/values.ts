/** From an agent's summary to NodeMetrics and PodMetrics, in metrics-server's units and forms. */
import type { IncomingMessage } from "node:http";
import { z } from "zod";
import type { StoredObject } from "#platform/store/port.ts";

const SUMMARY_BYTES_MAX = 32 << 20;
/** Where a summary does not say what its rate was measured over. */
const WINDOW = "10s";

const usageShape = {
  cpu: z.object({ time: z.string(), usageNanoCores: z.number().optional() }).optional(),
  memory: z.object({ workingSetBytes: z.number() }).optional(),
};
const summaryShape = z.object({
  node: z.object(usageShape),
  pods: z.array(
    z.object({
      podRef: z.object({ uid: z.string() }),
      containers: z.array(z.object({ name: z.string(), ...usageShape })),
    }),
  ),
});
export type AgentSummary = z.infer<typeof summaryShape>;
type Used = Pick<AgentSummary["node"], "cpu" | "memory">;

/** Rejects for another answer than a summary. */
export async function readSummary(answer: IncomingMessage): Promise<AgentSummary> {
  const parts: Buffer[] = [];
  let bytes = 0;
  for await (const part of answer) {
    const chunk = part as Buffer;
    bytes += chunk.length;
    if (bytes > SUMMARY_BYTES_MAX) throw new Error("the summary is too long");
    parts.push(chunk);
  }
  const text = Buffer.concat(parts).toString();
  if (answer.statusCode !== 200) throw new Error(`the agent answered ${answer.statusCode}: ${text.slice(0, 200)}`);
  return summaryShape.parse(JSON.parse(text));
}

/** Undefined until there is a rate. */
function usageOf({ cpu, memory }: Used): { cpu: string; memory: string } | undefined {
  if (cpu?.usageNanoCores === undefined || memory === undefined) return undefined;
  return { cpu: `${cpu.usageNanoCores}n`, memory: `${Math.floor(memory.workingSetBytes / 1024)}Ki` };
}

type Labelled = Pick<StoredObject, "labels" | "key" | "uid">;

const headOf = ({ key, labels }: Labelled, kind: string, time: string) => ({
  kind,
  apiVersion: "metrics.k8s.io/v1beta1",
  metadata: {
    name: key.name,
    ...(key.namespace === "" ? {} : { namespace: key.namespace }),
    creationTimestamp: new Date().toISOString().replace(/\.\d+Z$/, "Z"),
    ...(Object.keys(labels).length === 0 ? {} : { labels }),
  },
  timestamp: time,
  window: WINDOW,
});

export function nodeMetrics(node: Labelled, { node: used }: AgentSummary): object | undefined {
  const usage = usageOf(used);
  return usage && { ...headOf(node, "NodeMetrics", used.cpu?.time ?? ""), usage };
}

/** Pods whose containers have all been measured. */
export function podMetrics(pods: readonly Labelled[], summary: AgentSummary): object[] {
  const byUid = new Map(summary.pods.map((pod) => [pod.podRef.uid, pod]));
  return pods.flatMap((pod) => {
    const found = byUid.get(pod.uid);
    const containers = (found?.containers ?? []).map(({ name, ...used }) => ({ name, usage: usageOf(used) }));
    if (containers.length === 0 || containers.some(({ usage }) => usage === undefined)) return [];
    return [{ ...headOf(pod, "PodMetrics", found?.containers[0]?.cpu?.time ?? ""), containers }];
  });
}
