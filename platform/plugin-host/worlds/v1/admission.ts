/**
 * World admission: hooks with the manifest's match rules evaluated here, before anything crosses. A failure of the plugin itself (not
 * a denial) decides by its failure policy.
 */
import type { Log } from "#platform/base/log.ts";
import type { DynamicObject, GroupVersionResource } from "#sdk/api/object.ts";
import { forbidden, internal, StatusError } from "#sdk/api/status.ts";
import type { MatchRule, PluginSpec } from "#sdk/plugin/manifest.ts";
import type { Mutation, Review } from "#sdk/plugin/types.ts";
import { PluginCallError } from "../../errors.ts";
import type { LoadedPlugin, PluginHost } from "../../host.ts";
import { applyJsonPatch, type Operation } from "../../json-patch.ts";
import { projector } from "../../projection.ts";

/** The part of a request's attributes that admission is about; the API server's own type has more. */
export interface AdmissionRequest {
  tenantName: string;
  operation: "CREATE" | "UPDATE" | "DELETE" | "CONNECT";
  kind: { group: string; version: string; kind: string };
  resource: { group: string; version: string; resource: string };
  subresource: string;
  namespace: string;
  name: string;
  object?: DynamicObject;
  oldObject?: DynamicObject;
  dryRun: boolean;
  user: {
    name: string;
    uid?: string;
    groups: readonly string[];
    extra?: Readonly<Record<string, readonly string[]>>;
  };
}

export interface AdmissionHook {
  name: string;
  mutate?(request: AdmissionRequest): Promise<{ object?: DynamicObject; warnings: string[] }>;
  validate?(request: AdmissionRequest): Promise<{ warnings: string[] }>;
}

/** Reads what a manifest declares as context: all objects of a resource in one namespace of one tenant. */
export type ContextReader = (
  resource: GroupVersionResource,
  tenant: string,
  namespace: string,
) => Promise<readonly unknown[]>;

export interface AdmissionPlugins {
  /** Those that match, in the order of their names. */
  hooks(request: AdmissionRequest): readonly AdmissionHook[];
}

export function createAdmissionPlugins(host: PluginHost, context: ContextReader, log: Log): AdmissionPlugins {
  let made = { generation: -1, hooks: [] as { spec: PluginSpec; hook: AdmissionHook }[] };
  return {
    hooks(request) {
      if (made.generation !== host.generation) {
        const hooks = host
          .loaded("admission")
          .map((plugin) => ({ spec: plugin.spec, hook: hookOf(plugin, context, log) }));
        made = { generation: host.generation, hooks };
      }
      return made.hooks.filter(({ spec }) => wantsReview(spec, request)).map(({ hook }) => hook);
    },
  };
}

/** The manifest's match rules hold for the request. */
export const wantsReview = ({ match }: Pick<PluginSpec, "match">, request: AdmissionRequest): boolean =>
  match.some((rule) => matches(rule, request));

function matches(rule: MatchRule, request: AdmissionRequest): boolean {
  const { group, resource } = request.resource;
  const full = request.subresource ? `${resource}/${request.subresource}` : resource;
  return (
    (rule.groups.includes("*") || rule.groups.includes(group)) &&
    rule.resources.some((name) => name === "*/*" || name === full || (name === "*" && request.subresource === "")) &&
    rule.operations.includes(request.operation) &&
    (rule.namespaces === undefined || rule.namespaces.includes(request.namespace))
  );
}

function hookOf(plugin: LoadedPlugin, context: ContextReader, log: Log): AdmissionHook {
  const { spec, name } = plugin;
  const text = projector(spec.projection["object"]);
  const offered = spec.hooks.admission ?? ["mutate", "validate"];

  async function review(request: AdmissionRequest): Promise<Review | undefined> {
    const contexts: Record<string, readonly unknown[]> = {};
    for (const wanted of spec.context) {
      const objects = await context(wanted, request.tenantName, request.namespace);
      if (objects.length === 0 && wanted.skipWhenEmpty) return undefined;
      contexts[wanted.resource] = objects;
    }
    return {
      operation: request.operation,
      ...request.kind,
      resource: request.resource.resource,
      subresource: request.subresource,
      namespace: request.namespace,
      name: request.name || (request.object?.metadata.name ?? ""),
      dryRun: request.dryRun,
      user: JSON.stringify({
        name: request.user.name,
        uid: request.user.uid,
        groups: request.user.groups,
        extra: request.user.extra,
      }),
      object: text(request.object),
      oldObject: text(request.oldObject),
      context: JSON.stringify(contexts),
    };
  }

  /** Undefined: nothing to say, or failed and ignored. */
  async function ask<T>(hook: "mutate" | "validate", request: AdmissionRequest): Promise<T | undefined> {
    try {
      const asked = await review(request);
      return asked && ((await plugin.call("admission-hooks", hook, [asked], { tenant: request.tenantName })) as T);
    } catch (error) {
      if (error instanceof PluginCallError && error.kind === "failure" && error.reason !== "InternalError") {
        throw denial(error, request);
      }
      if (spec.failurePolicy === "Ignore") {
        log.warn("an admission plugin failed and was ignored", { plugin: name, hook, error: String(error) });
        return undefined;
      }
      throw internal(`admission by plugin "${name}" failed: ${error instanceof Error ? error.message : String(error)}`);
    }
  }

  return {
    name,
    ...(offered.includes("mutate")
      ? {
          async mutate(request: AdmissionRequest) {
            const mutation = await ask<Mutation>("mutate", request);
            if (!mutation?.patch || !request.object) return { warnings: mutation?.warnings ?? [] };
            const patch = JSON.parse(mutation.patch) as Operation[];
            return { object: applyJsonPatch(request.object, patch), warnings: mutation.warnings };
          },
        }
      : {}),
    ...(offered.includes("validate")
      ? {
          async validate(request: AdmissionRequest) {
            return { warnings: (await ask<string[]>("validate", request)) ?? [] };
          },
        }
      : {}),
  };
}

/** A plugin's refusal as the API's user sees it. */
function denial(error: PluginCallError, request: AdmissionRequest): StatusError {
  const { resource } = request;
  const name = request.name || (request.object?.metadata.name ?? "");
  if (error.reason === "Forbidden") return forbidden(resource, name, error.message);
  const code = error.code >= 400 && error.code < 600 ? error.code : 403;
  const details = error.details ? (JSON.parse(error.details) as object) : {};
  return new StatusError(code, error.reason, error.message, {
    ...(name ? { name } : {}),
    ...(resource.group ? { group: resource.group } : {}),
    kind: resource.resource,
    ...details,
  });
}
