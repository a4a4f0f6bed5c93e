/** The scale subresource of whatever an autoscaler's target is, built in or custom. */
import { z } from "zod";
import { resourceByGVK, resources } from "#sdk/api/facts.ts";
import { type GroupVersionResource, parseApiVersion } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import { discover } from "#sdk/client/discovery.ts";
import { resourcePath } from "#sdk/client/paths.ts";
import type { Client } from "#sdk/client/port.ts";

export interface Scale {
  specReplicas: number;
  statusReplicas: number;
  /** Of the target's pods, as text; "" where there is none. */
  selector: string;
  resourceVersion: string;
}

/** One tenant's. Failures throw errors with upstream's messages. */
export interface Scales {
  /** Where a kind is served. Throws where nobody serves it. */
  resourceFor(reference: { apiVersion?: string; kind: string }): Promise<GroupVersionResource>;
  get(resource: GroupVersionResource, namespace: string, name: string): Promise<Scale>;
  /** Tries again with the present version while others write. */
  set(
    resource: GroupVersionResource,
    namespace: string,
    name: string,
    replicas: number,
    resourceVersion: string,
  ): Promise<void>;
}

const scaleSchema = z.object({
  metadata: z.object({ resourceVersion: z.string().default("") }),
  spec: z.object({ replicas: z.number().int().default(0) }).default({ replicas: 0 }),
  status: z
    .object({ replicas: z.number().int().default(0), selector: z.string().default("") })
    .default({ replicas: 0, selector: "" }),
});
const statusSchema = z.object({ message: z.string().default(""), reason: z.string().default("") });
/** Custom kinds come and go; a look at all of discovery serves that long. */
const DISCOVERED_MS = 30_000;
/** client-go's DefaultRetry. */
const TRIES = 5;

export function createScales(client: Client): Scales {
  let discovered: { at: number; resources: Promise<readonly (GroupVersionResource & { kind: string })[]> } | undefined;
  const others = () => {
    if (!discovered || performance.now() - discovered.at > DISCOVERED_MS)
      discovered = { at: performance.now(), resources: discover(client).then((found) => found.resources) };
    const asked = discovered;
    asked.resources.catch(() => {
      if (discovered === asked) discovered = undefined;
    });
    return asked.resources;
  };
  const get = async (resource: GroupVersionResource, namespace: string, name: string): Promise<Scale> => {
    const { metadata, spec, status } = scaleSchema.parse(
      await ask(client, "GET", resourcePath(resource, { namespace, name, subresource: "scale" })),
    );
    const { resourceVersion } = metadata;
    return { specReplicas: spec.replicas, statusReplicas: status.replicas, selector: status.selector, resourceVersion };
  };
  return {
    async resourceFor(reference) {
      const { group, version } = groupOf(reference.apiVersion ?? "");
      const { kind } = reference;
      const known =
        resourceByGVK({ group, version, kind }) ?? resources().find((r) => r.group === group && r.kind === kind);
      const found = known ?? (await others()).find((r) => r.group === group && r.kind === kind);
      if (!found) throw new Error(`no matches for kind ${JSON.stringify(kind)} in group ${JSON.stringify(group)}`);
      return { group: found.group, version: found.version, resource: found.resource };
    },
    get,
    async set(resource, namespace, name, replicas, resourceVersion) {
      const path = resourcePath(resource, { namespace, name, subresource: "scale" });
      let version = resourceVersion;
      for (let left = TRIES; ; left--) {
        try {
          const metadata = { name, namespace, ...(version ? { resourceVersion: version } : {}) };
          const scale = { apiVersion: "autoscaling/v1", kind: "Scale", metadata, spec: { replicas } };
          await ask(client, "PUT", path, JSON.stringify(scale));
          return;
        } catch (error) {
          if (!(error instanceof StatusError) || error.code !== 409 || left <= 1) throw error;
          version = (await get(resource, namespace, name)).resourceVersion;
        }
      }
    },
  };
}

function groupOf(apiVersion: string): { group: string; version: string } {
  if (apiVersion.split("/").length > 2) throw new Error(`unexpected GroupVersion string: ${apiVersion}`);
  return apiVersion === "" ? { group: "", version: "" } : parseApiVersion(apiVersion);
}

async function ask(client: Client, method: string, path: string, body?: string): Promise<unknown> {
  const answer = await client.raw(method, path, body, body ? { "content-type": "application/json" } : undefined);
  if (answer.code < 300) return JSON.parse(answer.body);
  const { message, reason } = failure(answer.body);
  throw new StatusError(answer.code, reason, message || `the server answered ${answer.code}`);
}

function failure(body: string): { message: string; reason: string } {
  try {
    return statusSchema.parse(JSON.parse(body));
  } catch {
    return { message: "", reason: "" };
  }
}
