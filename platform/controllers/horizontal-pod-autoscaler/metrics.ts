/**
 * The three metrics APIs an autoscaler asks, which extension servers serve (k8s.io/metrics: metrics.k8s.io, custom.metrics.k8s.io,
 * external.metrics.k8s.io). Values are thousandths.
 */
import { z } from "zod";
import { parseQuantity, quantityMilliValue } from "#sdk/api/quantity.ts";
import { StatusError } from "#sdk/api/status.ts";
import { withQuery } from "#sdk/client/paths.ts";
import type { Client } from "#sdk/client/port.ts";

export interface PodMetric {
  /** Milliseconds: the end of the window that was measured. */
  at: number;
  windowMs: number;
  value: number;
}

/** By the pod's name. */
export type PodMetrics = Map<string, PodMetric>;

/** Failures throw errors with upstream's messages. Selectors are texts. */
export interface MetricsSource {
  /** `container` "": the pod's containers together. */
  resource(name: string, namespace: string, selector: string, container: string): Promise<PodMetrics>;
  pods(metric: string, namespace: string, selector: string, metricSelector: string): Promise<PodMetrics>;
  /** `resource`: the described object's, qualified ("deployments.apps"); undefined for the namespace itself. */
  object(
    metric: string,
    namespace: string,
    resource: string | undefined,
    name: string,
    selector: string,
  ): Promise<number>;
  external(metric: string, namespace: string, selector: string): Promise<number[]>;
}

const DEFAULT_WINDOW_MS = 60_000;

const quantity = z.union([z.string(), z.number()]).transform((text) => quantityMilliValue(parseQuantity(text)));
const time = z
  .string()
  .nullish()
  .transform((text) => (text ? Date.parse(text) : 0));
const podMetricsSchema = z.object({
  items: z.array(
    z.object({
      metadata: z.object({ name: z.string() }),
      timestamp: time,
      window: z.string().default("0s").transform(durationMs),
      containers: z.array(z.object({ name: z.string(), usage: z.record(z.string(), quantity) })).nullish(),
    }),
  ),
});
const customSchema = z.object({
  items: z.array(
    z.object({
      describedObject: z.object({ name: z.string().default("") }),
      timestamp: time,
      windowSeconds: z.number().nullish(),
      window: z.number().nullish(),
      value: quantity,
    }),
  ),
});
const externalSchema = z.object({ items: z.array(z.object({ value: quantity })) });
const groupSchema = z.object({ versions: z.array(z.object({ version: z.string() })) });

const UNITS: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1000, ms: 1, µs: 0.001, us: 0.001, ns: 0.000001 };

/** Go's durations: "1m30s". What cannot be read is no time. */
export function durationMs(text: string): number {
  let sum = 0;
  for (const [, amount = "", unit = ""] of text.matchAll(/([\d.]+)(ns|us|µs|ms|s|m|h)/g))
    sum += Number(amount) * (UNITS[unit] ?? 0);
  return sum;
}

export function metricsSource(client: Client): MetricsSource {
  /** Which version of the custom metrics API its server has: the newer one where it can be had. */
  const customVersion = async (): Promise<string> => {
    const { code, body } = await client.raw("GET", "/apis/custom.metrics.k8s.io");
    const versions = code === 200 ? groupSchema.parse(JSON.parse(body)).versions.map((v) => v.version) : [];
    const known = ["v1beta2", "v1beta1"].find((version) => versions.includes(version));
    if (known === undefined) throw new Error("no custom metrics API (custom.metrics.k8s.io) registered");
    return known;
  };
  const custom = async (path: string, parameters: Record<string, string>, what: string) => {
    const text = "unable to fetch metrics from custom metrics API";
    return asking(text, async () => {
      const at = `/apis/custom.metrics.k8s.io/${await customVersion()}/${path}`;
      return customSchema.parse(await read(client, withQuery(at, parameters), what)).items;
    });
  };
  return {
    async resource(name, namespace, selector, container) {
      const items = await asking("unable to fetch metrics from resource metrics API", async () => {
        const path = `/apis/metrics.k8s.io/v1beta1/namespaces/${namespace}/pods`;
        const body = await read(client, withQuery(path, { labelSelector: selector }), "pods.metrics.k8s.io");
        return podMetricsSchema.parse(body).items;
      });
      if (items.length === 0) throw new Error("no metrics returned from resource metrics API");
      const metrics: PodMetrics = new Map();
      for (const { metadata, timestamp, window, containers } of items) {
        const asked = (containers ?? []).filter((c) => container === "" || c.name === container);
        const values = asked.map((c) => c.usage[name]);
        if (values.length === 0 || values.includes(undefined)) continue;
        const value = values.reduce<number>((sum, v) => sum + (v ?? 0), 0);
        metrics.set(metadata.name, { at: timestamp, windowMs: window, value });
      }
      return metrics;
    },
    async pods(metric, namespace, selector, metricSelector) {
      const path = `namespaces/${namespace}/pods/*/${encodeURIComponent(metric)}`;
      const what = `${metric}.custom.metrics.k8s.io *`;
      const items = await custom(path, { labelSelector: selector, metricLabelSelector: metricSelector }, what);
      if (items.length === 0) throw new Error("no metrics returned from custom metrics API");
      return new Map(
        items.map((item) => {
          const seconds = item.windowSeconds ?? item.window;
          const windowMs = seconds == null ? DEFAULT_WINDOW_MS : seconds * 1000;
          return [item.describedObject.name, { at: item.timestamp, windowMs, value: item.value }];
        }),
      );
    },
    async object(metric, namespace, resource, name, selector) {
      const object = resource === undefined ? "metrics" : `${resource}/${name}`;
      const path = `namespaces/${namespace}/${object}/${encodeURIComponent(metric)}`;
      const items = await custom(path, { metricLabelSelector: selector }, `${metric}.custom.metrics.k8s.io ${name}`);
      const [only] = items;
      if (items.length !== 1 || !only) {
        const why = `the custom metrics API server returned ${items.length} results when we asked for exactly one`;
        throw new Error(`unable to fetch metrics from custom metrics API: ${why}`);
      }
      return only.value;
    },
    async external(metric, namespace, selector) {
      const items = await asking("unable to fetch metrics from external metrics API", async () => {
        const path = `/apis/external.metrics.k8s.io/v1beta1/namespaces/${namespace}/${encodeURIComponent(metric)}`;
        const body = await read(
          client,
          withQuery(path, { labelSelector: selector }),
          `${metric}.external.metrics.k8s.io`,
        );
        return externalSchema.parse(body).items;
      });
      if (items.length === 0) throw new Error("no metrics returned from external metrics API");
      return items.map((item) => item.value);
    },
  };
}

async function asking<T>(what: string, ask: () => Promise<T>): Promise<T> {
  try {
    return await ask();
  } catch (error) {
    throw new Error(`${what}: ${error instanceof Error ? error.message : String(error)}`);
  }
}

const statusSchema = z.object({ kind: z.literal("Status"), message: z.string().min(1) });

/** `what`: what client-go says was asked for, "pods.metrics.k8s.io". */
async function read(client: Client, path: string, what: string): Promise<unknown> {
  const { code, body } = await client.raw("GET", path);
  if (code === 200) return JSON.parse(body);
  throw new StatusError(code, "", told(body) ?? `${generic(code, body)} (get ${what})`);
}

function told(body: string): string | undefined {
  try {
    return statusSchema.safeParse(JSON.parse(body)).data?.message;
  } catch {
    return undefined;
  }
}

/** What client-go makes of an answer without a Status. */
function generic(code: number, body: string): string {
  if (code === 404) return "the server could not find the requested resource";
  if (code === 503) return "the server is currently unable to handle the request";
  if (code >= 500)
    return `an error on the server (${JSON.stringify(body.slice(0, 2048))}) has prevented the request from succeeding`;
  return `the server rejected our request for an unknown reason (code ${code})`;
}
