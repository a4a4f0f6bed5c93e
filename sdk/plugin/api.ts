/**
 * For guests: the Kubernetes API as the plugin's own user, in the tenant of the current call.
 * Needs the capability "api". Calls block; failures are thrown as PluginFailure with the API's reason and code.
 */
import api from "capstan:plugin/api@1.0.0";
import type { GroupVersionResource, JsonObject, KubeList, KubeObject } from "../api/object.ts";
import { calling, PluginFailure } from "./failure.ts";

export interface Ref {
  namespace?: string;
  name?: string;
  subresource?: string;
}

export interface Selection {
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
  limit?: number;
  continue?: string;
}

const target = (r: GroupVersionResource, ref: Ref) => ({
  group: r.group,
  version: r.version,
  resource: r.resource,
  subresource: ref.subresource ?? "",
  namespace: ref.namespace ?? "",
  name: ref.name ?? "",
});

const parsed = <T>(call: () => string): T => JSON.parse(calling(call)) as T;

export const get = <T extends KubeObject>(r: GroupVersionResource, ref: Ref): T =>
  parsed(() => api.get(target(r, ref)));

/** Undefined where the API says NotFound. */
export function find<T extends KubeObject>(r: GroupVersionResource, ref: Ref): T | undefined {
  try {
    return get<T>(r, ref);
  } catch (error) {
    if (error instanceof PluginFailure && error.reason === "NotFound") return undefined;
    throw error;
  }
}

export const list = <T extends KubeObject>(r: GroupVersionResource, selection: Selection = {}): KubeList<T> =>
  parsed(() =>
    api.list(target(r, { namespace: selection.namespace }), {
      labelSelector: selection.labelSelector ?? "",
      fieldSelector: selection.fieldSelector ?? "",
      limit: selection.limit ?? 0,
      continue: selection.continue ?? "",
    }),
  );

const ofObject = (object: KubeObject): Ref => ({
  namespace: object.metadata.namespace,
  name: object.metadata.name,
});

export const create = <T extends KubeObject>(r: GroupVersionResource, object: T, ref: Ref = {}): T =>
  parsed(() => api.create(target(r, { ...ofObject(object), ...ref }), JSON.stringify(object)));

export const update = <T extends KubeObject>(r: GroupVersionResource, object: T, subresource = ""): T =>
  parsed(() => api.update(target(r, { ...ofObject(object), subresource }), JSON.stringify(object)));

export const patch = <T extends KubeObject>(
  r: GroupVersionResource,
  ref: Ref,
  kind: "json" | "merge" | "strategic",
  body: JsonObject | JsonObject[],
): T => parsed(() => api.patch(target(r, ref), kind, JSON.stringify(body)));

/** Server-side apply. */
export const apply = <T extends KubeObject>(
  r: GroupVersionResource,
  object: T,
  fieldManager: string,
  o: { force?: boolean; subresource?: string } = {},
): T =>
  parsed(() =>
    api.apply(
      target(r, { ...ofObject(object), subresource: o.subresource }),
      JSON.stringify(object),
      fieldManager,
      o.force ?? false,
    ),
  );

export const remove = (r: GroupVersionResource, ref: Ref, options?: JsonObject): void =>
  calling(() => api.delete(target(r, ref), options ? JSON.stringify(options) : ""));
