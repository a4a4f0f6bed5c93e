/** What a manifest declares as context of a review: which objects cross with it, and when their absence spares the call. */
import type { GroupVersionResource } from "#sdk/api/object.ts";
import type { ContextRule, PluginSpec } from "#sdk/plugin/manifest.ts";
import { projected } from "../../projection.ts";
import type { AdmissionRequest } from "./admission.ts";

/**
 * Reads from one tenant: all objects of a resource (in the namespace, where it has namespaces), or the one of a name. Nothing is there: an empty
 * list.
 */
export type ContextReader = (
  resource: GroupVersionResource,
  tenant: string,
  namespace: string,
  name?: string,
) => Promise<readonly unknown[]>;

type Labelled = { metadata?: { labels?: Readonly<Record<string, string>> } };

/** What `named` means in a request; "" where nothing is named. */
function nameIn(path: string, request: AdmissionRequest): string {
  if (path === "namespace") return request.namespace;
  if (path === "name") return request.name || (request.object?.metadata.name ?? "");
  let at: unknown = request;
  for (const part of path.split(".")) {
    if (typeof at !== "object" || at === null) return "";
    at = (at as Record<string, unknown>)[part];
  }
  return typeof at === "string" ? at : "";
}

function isFor({ resources }: ContextRule, { resource, subresource }: AdmissionRequest): boolean {
  const full = subresource ? `${resource.resource}/${subresource}` : resource.resource;
  return resources === undefined || resources.includes(full);
}

async function objectsOf(
  rule: ContextRule,
  request: AdmissionRequest,
  read: ContextReader,
): Promise<readonly unknown[]> {
  const { tenantName } = request;
  const { group, resource } = request.resource;
  // A namespace counts as inside itself.
  const namespace = group === "" && resource === "namespaces" ? request.name : request.namespace;
  let objects: readonly unknown[];
  if (rule.named === undefined) objects = await read(rule, tenantName, namespace);
  else {
    const name = nameIn(rule.named, request);
    objects = name === "" ? [] : await read(rule, tenantName, namespace, name);
  }
  const { labels, fields } = rule;
  if (labels) {
    objects = objects.filter((one) => labels.some((key) => (one as Labelled).metadata?.labels?.[key] !== undefined));
  }
  return fields ? objects.map(projected(fields)) : objects;
}

/** Undefined: what the plugin is about is not there, so it has nothing to say. */
export async function contextsOf(
  { context, config }: Pick<PluginSpec, "context" | "config">,
  request: AdmissionRequest,
  read: ContextReader,
): Promise<Record<string, readonly unknown[]> | undefined> {
  const contexts: Record<string, readonly unknown[]> = {};
  for (const rule of context) {
    if (!isFor(rule, request)) continue;
    const objects = await objectsOf(rule, request, read);
    const isSkipped = rule.skipWhenEmpty && !rule.unlessConfigured?.some((key) => config[key] !== undefined);
    if (objects.length === 0 && isSkipped) return undefined;
    contexts[rule.resource] = objects;
  }
  return contexts;
}
