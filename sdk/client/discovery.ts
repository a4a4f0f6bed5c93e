/** What a server serves, by the plain discovery documents (/api, /apis and one for each group version). */
import { z } from "zod";
import { type GroupVersionResource, parseApiVersion } from "../api/object.ts";
import { StatusError } from "../api/status.ts";
import { messageOf } from "./log.ts";
import type { Client } from "./port.ts";

export interface DiscoveredResource extends GroupVersionResource {
  kind: string;
  namespaced: boolean;
  verbs: readonly string[];
}

export interface Discovery {
  /** Of each group's preferred version first, then of the others what the preferred one lacks; no subresources. */
  resources: DiscoveredResource[];
  /** "metrics.k8s.io/v1beta1: the server is currently unable to handle the request" */
  failures: string[];
}

const groupsSchema = z.object({
  groups: z.array(
    z.object({
      preferredVersion: z.object({ groupVersion: z.string() }).optional(),
      versions: z.array(z.object({ groupVersion: z.string() })),
    }),
  ),
});
const resourcesSchema = z.object({
  resources: z.array(
    z.object({ name: z.string(), kind: z.string(), namespaced: z.boolean(), verbs: z.array(z.string()).default([]) }),
  ),
});

export async function discover(client: Client): Promise<Discovery> {
  const { groups } = groupsSchema.parse(await read(client, "/apis"));
  const found = new Map<string, DiscoveredResource>();
  const failures: string[] = [];
  const versions = groups.flatMap(({ preferredVersion, versions }) => {
    const all = versions.map((v) => v.groupVersion);
    const first = preferredVersion?.groupVersion ?? all[0];
    return first === undefined ? [] : [first, ...all.filter((v) => v !== first)];
  });
  for (const groupVersion of ["v1", ...versions]) {
    const { group, version } = parseApiVersion(groupVersion);
    try {
      const path = group === "" ? `/api/${version}` : `/apis/${groupVersion}`;
      for (const { name, ...facts } of resourcesSchema.parse(await read(client, path)).resources) {
        const key = `${group}/${name}`;
        if (!name.includes("/") && !found.has(key)) found.set(key, { group, version, resource: name, ...facts });
      }
    } catch (error) {
      failures.push(`${groupVersion}: ${messageOf(error)}`);
    }
  }
  return { resources: [...found.values()], failures };
}

async function read(client: Client, path: string): Promise<unknown> {
  const { code, body } = await client.raw("GET", path);
  if (code !== 200) throw new StatusError(code, "ServiceUnavailable", `${path} answered ${code}`);
  return JSON.parse(body);
}
