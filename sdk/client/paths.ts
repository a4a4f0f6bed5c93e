/** URLs of the Kubernetes API (API conventions; "API groups and versioning"). */
import type { GroupVersionResource } from "../api/object.ts";
import type { DeleteOptions, ListOptions, WatchOptions, WriteOptions } from "./port.ts";

export function resourcePath(
  r: GroupVersionResource,
  at: { namespace?: string; name?: string; subresource?: string },
): string {
  const group = r.group === "" ? "/api" : `/apis/${r.group}`;
  const namespace = at.namespace ? `/namespaces/${encodeURIComponent(at.namespace)}` : "";
  const name = at.name ? `/${encodeURIComponent(at.name)}` : "";
  return `${group}/${r.version}${namespace}/${r.resource}${name}${at.subresource ? `/${at.subresource}` : ""}`;
}

type Parameters = Record<string, string | number | boolean | undefined>;

export function withQuery(path: string, parameters: Parameters): string {
  const query = new URLSearchParams();
  for (const [name, value] of Object.entries(parameters)) {
    if (value !== undefined && value !== "") query.set(name, String(value));
  }
  const text = query.toString();
  return text === "" ? path : `${path}?${text}`;
}

export const listQuery = (o: ListOptions): Parameters => ({
  labelSelector: o.labelSelector,
  fieldSelector: o.fieldSelector,
  limit: o.limit,
  continue: o.continue,
  resourceVersion: o.resourceVersion,
  resourceVersionMatch: o.resourceVersionMatch,
});

export const watchQuery = (o: WatchOptions): Parameters => ({
  watch: true,
  allowWatchBookmarks: true,
  labelSelector: o.labelSelector,
  fieldSelector: o.fieldSelector,
  resourceVersion: o.resourceVersion,
  ...(o.sendInitialEvents ? { sendInitialEvents: true, resourceVersionMatch: "NotOlderThan" } : {}),
});

export const writeQuery = (o: WriteOptions | undefined): Parameters => ({
  fieldManager: o?.fieldManager,
  dryRun: o?.dryRun ? "All" : undefined,
});

export const deleteBody = (o: DeleteOptions | undefined): string =>
  JSON.stringify({
    kind: "DeleteOptions",
    apiVersion: "v1",
    gracePeriodSeconds: o?.gracePeriodSeconds,
    propagationPolicy: o?.propagationPolicy,
    preconditions: o?.preconditions,
  });
