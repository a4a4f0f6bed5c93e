/**
 * World admission: hooks with the manifest's match rules evaluated here, before anything crosses. A failure of the plugin itself (not
 * a denial: it was stopped, or what it answers cannot be used) decides by its failure policy.
 */
import { type Log, messageOf } from "#platform/base/log.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { forbidden, internal, StatusError } from "#sdk/api/status.ts";
import { AUDIT_MARK } from "#sdk/plugin/failure.ts";
import { type MatchRule, PLUGINS, type PluginSpec } from "#sdk/plugin/manifest.ts";
import type { Mutation, Review } from "#sdk/plugin/types.ts";
import { PluginCallError } from "../../errors.ts";
import type { LoadedPlugin, PluginHost } from "../../host.ts";
import { applyPatch, checkPatch, parsePatch } from "../../json-patch.ts";
import { projector } from "../../projection.ts";
import { KeptAnswers } from "./admission-answers.ts";
import { type Answer, nameOf, readAnswer, requestText, userOf } from "./admission-texts.ts";
import { type ContextReader, contextsOf } from "./context.ts";

/** As much as a request's body may have (limitRequestBody of the API server): nothing larger could be stored. */
const PATCH_CHARACTERS_MAX = 3 * 1024 * 1024;
/** Of one review. The response's own limit comes on top. */
const WARNINGS_MAX = 64;

const NO_CONTEXT: Record<string, readonly unknown[]> = {};

/** The texts of a review: projections, and what was declared as context. */
interface Shown {
  object: string;
  oldObject: string;
  contexts: string;
}

/** JSON has no line breaks outside of its texts, and inside they are escaped. */
const keyOf = (hook: Hook, { tenantName, operation, kind, resource, subresource }: AdmissionRequest, shown: Shown) =>
  [
    tenantName,
    hook,
    operation,
    kind.group,
    kind.version,
    kind.kind,
    resource.resource,
    subresource,
    shown.object,
    shown.oldObject,
    shown.contexts,
  ].join("\n");

type Hook = "mutate" | "validate";
/** Asked for where a component has it: an interpreter reads texts many times faster than records. */
const TEXTS = "admission-texts";

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
  /** Becomes an annotation of the request's audit events. */
  annotate?(key: string, value: string): void;
}

export interface AdmissionHook {
  name: string;
  mutate?(request: AdmissionRequest): Promise<{ object?: DynamicObject; warnings: string[] }>;
  validate?(request: AdmissionRequest): Promise<{ warnings: string[] }>;
}

export interface AdmissionPlugins {
  /** Root's and the request's tenant's own, those that match, in their order. */
  hooks(request: AdmissionRequest): readonly AdmissionHook[];
}

/** What a plugin made of the request's object, as an object of its kind; throws where it is none, naming the field. */
export type ObjectCheck = (request: AdmissionRequest, object: DynamicObject) => DynamicObject;

export interface AdmissionOptions {
  context: ContextReader;
  check: ObjectCheck;
  log: Log;
}

export function createAdmissionPlugins(host: PluginHost, options: AdmissionOptions): AdmissionPlugins {
  /** A list of plugins is another one after every change of them; most tenants have the same one. */
  const made = new WeakMap<readonly LoadedPlugin[], { spec: PluginSpec; hook: AdmissionHook }[]>();
  return {
    hooks(request) {
      const plugins = host.loaded("admission", request.tenantName);
      let hooks = made.get(plugins);
      if (!hooks) {
        hooks = plugins.map((plugin) => ({ spec: plugin.spec, hook: hookOf(plugin, options) }));
        made.set(plugins, hooks);
      }
      return hooks.filter(({ spec }) => wantsReview(spec, request)).map(({ hook }) => hook);
    },
  };
}

/** The manifest's match rules hold for the request. Plugins are never asked about plugins: one that fails could not be turned off. */
export const wantsReview = ({ match }: Pick<PluginSpec, "match">, request: AdmissionRequest): boolean =>
  !(request.resource.group === PLUGINS.group && request.resource.resource === PLUGINS.resource) &&
  match.some((rule) => matches(rule, request));

function matches(rule: MatchRule, request: AdmissionRequest): boolean {
  const { group, resource } = request.resource;
  const full = request.subresource ? `${resource}/${request.subresource}` : resource;
  return (
    (rule.groups.includes("*") || rule.groups.includes(group)) &&
    rule.resources.some((name) => name === "*/*" || name === full || (name === "*" && request.subresource === "")) &&
    rule.operations.includes(request.operation) &&
    (rule.namespaces === undefined || rule.namespaces.includes(request.namespace)) &&
    (rule.userGroups === undefined || rule.userGroups.some((name) => request.user.groups.includes(name))) &&
    (rule.labels === undefined || isLabelled(rule.labels, request)) &&
    (rule.fields === undefined || rule.fields.some((path) => hasField(request.object, path)))
  );
}

/** An empty list or map is none. */
function hasField(object: unknown, path: string): boolean {
  let at = object;
  for (const name of path.split(".")) {
    if (typeof at !== "object" || at === null) return false;
    at = (at as Record<string, unknown>)[name];
  }
  return at !== undefined && at !== null && (typeof at !== "object" || Object.keys(at).length > 0);
}

const isLabelled = (keys: readonly string[], { object, oldObject }: AdmissionRequest): boolean =>
  [object, oldObject].some((one) => keys.some((key) => one?.metadata.labels?.[key] !== undefined));

function hookOf(plugin: LoadedPlugin, { context, check, log }: AdmissionOptions): AdmissionHook {
  const { spec, name } = plugin;
  const text = projector(spec.projection["object"]);
  const offered = spec.hooks.admission ?? ["mutate", "validate"];

  const kept = spec.scope === "object" ? new KeptAnswers() : undefined;

  const review = (request: AdmissionRequest, { object, oldObject, contexts }: Shown): Review => ({
    operation: request.operation,
    ...request.kind,
    resource: request.resource.resource,
    subresource: request.subresource,
    namespace: request.namespace,
    name: nameOf(request),
    dryRun: request.dryRun,
    user: JSON.stringify(userOf(request)),
    object,
    oldObject,
    context: contexts,
  });

  /** Undefined: what the plugin is about is not there. */
  async function called(hook: Hook, request: AdmissionRequest): Promise<Answer | undefined> {
    const contexts = spec.context.length === 0 ? NO_CONTEXT : await contextsOf(spec, request, context);
    if (!contexts) return undefined;
    const crossing = contexts === NO_CONTEXT ? "{}" : JSON.stringify(contexts);
    const shown = { object: text(request.object), oldObject: text(request.oldObject), contexts: crossing };
    if (!kept) return readAs(hook, await asked(hook, request, shown));
    const key = keyOf(hook, request, shown);
    const before = kept.get(key);
    if (before !== undefined) return readAs(hook, before);
    const answer = await asked(hook, request, shown);
    const read = readAs(hook, answer);
    kept.keep(key, answer);
    return read;
  }

  /** Of components with texts a text; otherwise a Mutation, or a list of warnings. */
  async function asked(hook: Hook, request: AdmissionRequest, shown: Shown): Promise<unknown> {
    const tenant = { tenant: request.tenantName };
    if (!plugin.offers(TEXTS)) return await plugin.call("admission-hooks", hook, [review(request, shown)], tenant);
    return await plugin.call(
      TEXTS,
      hook,
      [requestText(request), shown.object, shown.oldObject, shown.contexts],
      tenant,
    );
  }

  function readAs(hook: Hook, answer: unknown): Answer {
    if (typeof answer === "string") {
      const read = usable(hook, () => readText(answer));
      if (read.failure) throw plugin.failed(hook, read.failure);
      return read;
    }
    if (Array.isArray(answer)) return { warnings: answer as string[] };
    const { patch, warnings } = answer as Mutation;
    return usable(hook, () => ({ ...(patch ? { patch: parsePatch(bounded(patch)) } : {}), warnings }));
  }

  /** Undefined: nothing to say, or failed and ignored. `read` throws where the answer cannot be used. */
  async function ask<T>(hook: Hook, request: AdmissionRequest, read: (answer: Answer) => T): Promise<T | undefined> {
    try {
      const answer = await called(hook, request);
      return answer && usable(hook, () => read(answer));
    } catch (error) {
      if (error instanceof PluginCallError && error.kind === "failure" && error.reason !== "InternalError") {
        const details = detailsOf(error.details);
        annotateAll(request, details.auditAnnotations);
        throw denial(error, request, details.shown);
      }
      if (spec.failurePolicy === "Ignore") {
        log.warn("an admission plugin failed and was ignored", { plugin: name, hook, error: String(error) });
        return undefined;
      }
      throw internal(`admission by plugin "${name}" failed: ${messageOf(error)}`);
    }
  }

  function usable<T>(hook: string, read: () => T): T {
    try {
      return read();
    } catch (error) {
      const why = `its answer cannot be used: ${messageOf(error)}`;
      plugin.refused(hook, why);
      throw new PluginCallError(name, hook, "invalid", why);
    }
  }

  function mutated({ patch, warnings }: Answer, request: AdmissionRequest) {
    const shown = warned(warnings, request);
    if (patch === undefined || !request.object) return { warnings: shown };
    return { object: check(request, applyPatch(request.object, checkPatch(patch))), warnings: shown };
  }

  return {
    name,
    ...(offered.includes("mutate")
      ? {
          mutate: async (request: AdmissionRequest) =>
            (await ask("mutate", request, (answer) => mutated(answer, request))) ?? { warnings: [] },
        }
      : {}),
    ...(offered.includes("validate")
      ? {
          validate: async (request: AdmissionRequest) => ({
            warnings: (await ask("validate", request, ({ warnings }) => warned(warnings, request))) ?? [],
          }),
        }
      : {}),
  };
}

function bounded(text: string): string {
  if (text.length <= PATCH_CHARACTERS_MAX) return text;
  throw new Error(`a patch of ${text.length} characters, of at most ${PATCH_CHARACTERS_MAX}`);
}

const readText = (text: string): Answer => readAnswer(bounded(text));

/** What is a warning of what a plugin answers; the rest are audit annotations, and noted as such. */
function warned(answer: readonly string[], request: AdmissionRequest): string[] {
  const warnings: string[] = [];
  for (const text of answer.slice(0, WARNINGS_MAX)) {
    const [, key, value] = text.startsWith(AUDIT_MARK) ? (/^.([^=]+)=(.*)$/s.exec(text) ?? []) : [];
    if (key !== undefined && value !== undefined) request.annotate?.(key, value);
    else warnings.push(text);
  }
  return warnings;
}

function annotateAll(request: AdmissionRequest, annotations: unknown): void {
  if (typeof annotations !== "object" || annotations === null) return;
  for (const [key, value] of Object.entries(annotations).slice(0, WARNINGS_MAX))
    if (typeof value === "string") request.annotate?.(key, value);
}

/** A plugin's refusal as the API's user sees it. */
function denial(error: PluginCallError, request: AdmissionRequest, details: object): StatusError {
  const { resource } = request;
  const name = nameOf(request);
  if (error.reason === "Forbidden") return forbidden(resource, name, error.message);
  const code = error.code >= 400 && error.code < 600 ? error.code : 403;
  return new StatusError(code, error.reason, error.message, {
    ...(name ? { name } : {}),
    ...(resource.group ? { group: resource.group } : {}),
    kind: resource.resource,
    ...details,
  });
}

/** A component's own text: left out where it is no JSON object. */
function detailsOf(text: string): { shown: object; auditAnnotations?: unknown } {
  try {
    const details: unknown = JSON.parse(text);
    if (typeof details !== "object" || details === null || Array.isArray(details)) return { shown: {} };
    const { auditAnnotations, ...shown } = details as { auditAnnotations?: unknown };
    return { shown, auditAnnotations };
  } catch {
    return { shown: {} };
  }
}
