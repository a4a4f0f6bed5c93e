/** ValidatingWebhookConfiguration and MutatingWebhookConfiguration. */
import type { MutatingWebhook, MutatingWebhookConfiguration, WebhookClientConfig } from "#sdk/api/generated/types.ts";
import { validateLabelSelector } from "#sdk/api/labels.ts";
import { isDNS1035Label, isDNS1123Subdomain } from "#sdk/api/names.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, duplicate, invalidValue, notSupported, required } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { each, oneOf, same } from "../checks.ts";
import {
  defaultRule,
  FAILURE_POLICIES,
  MATCH_POLICIES,
  REINVOCATION_POLICIES,
  validateConditions,
  validateRule,
} from "./rules.ts";

const NO_SIDE_EFFECTS = ["None", "NoneOnDryRun"];
const SIDE_EFFECTS = [...NO_SIDE_EFFECTS, "Some", "Unknown"];
const REVIEW_VERSIONS = ["v1", "v1beta1"];
const TIMEOUT_SECONDS = { default: 10, min: 1, max: 30 };
const HTTPS_PORT = 443;
const URL_FORM = "; desired format: https://host[/path]";

const hooksOf = (object: DynamicObject): MutatingWebhook[] => as<MutatingWebhookConfiguration>(object).webhooks ?? [];

/** RFC 3986's parts of a URL; what Go's parser refuses answers with its words. */
function parseUrl(
  url: string,
): { scheme: string; user?: string; host: string; query: string; fragment: string } | string {
  // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is looked for
  if (/[\x00-\x1f\x7f]/.test(url)) return `parse ${JSON.stringify(url)}: net/url: invalid control character in URL`;
  if (url.startsWith(":")) return `parse ${JSON.stringify(url)}: missing protocol scheme`;
  const parts = /^(?:([A-Za-z][A-Za-z0-9+.-]*):)?(?:\/\/([^/?#]*))?([^?#]*)(?:\?([^#]*))?(?:#(.*))?$/s.exec(url);
  const [, scheme = "", authority = "", path = "", query = "", fragment = ""] = parts ?? [];
  if (scheme === "" && authority === "" && /^[^/]*:/.test(path))
    return `parse ${JSON.stringify(url)}: first path segment in URL cannot contain colon`;
  const at = authority.lastIndexOf("@");
  const host = authority.slice(at + 1);
  if (/[ <>"^`{|}]/.test(host))
    return `parse ${JSON.stringify(url)}: invalid character ${JSON.stringify(/[ <>"^`{|}]/.exec(host)?.[0])} in host name`;
  return { scheme: scheme.toLowerCase(), host, query, fragment, ...(at < 0 ? {} : { user: authority.slice(0, at) }) };
}

function validateUrl(url: string, field: string): Causes {
  const parsed = parseUrl(url);
  if (typeof parsed === "string") return [required(field, `url must be a valid URL: ${parsed}${URL_FORM}`)];
  const { scheme, host, user, fragment, query } = parsed;
  const causes: Causes = [];
  if (scheme !== "https") causes.push(invalidValue(field, scheme, `'https' is the only allowed URL scheme${URL_FORM}`));
  if (host === "") causes.push(invalidValue(field, host, `host must be specified${URL_FORM}`));
  if (user !== undefined) causes.push(invalidValue(field, user, "user information is not permitted in the URL"));
  if (fragment) causes.push(invalidValue(field, fragment, "fragments are not permitted in the URL"));
  if (query) causes.push(invalidValue(field, query, "query parameters are not permitted in the URL"));
  return causes;
}

function validatePath(path: string | undefined, field: string): Causes {
  if (!path || path === "/") return [];
  if (path === "//") return [invalidValue(field, path, "segment[0] may not be empty")];
  const causes = path.startsWith("/") ? [] : [invalidValue(field, path, "must start with a '/'")];
  const segments = path.slice(1).replace(/\/$/, "").split("/");
  for (const [i, segment] of segments.entries()) {
    if (segment === "") causes.push(invalidValue(field, path, `segment[${i}] may not be empty`));
    else
      causes.push(
        ...each(
          isDNS1123Subdomain(segment).map((m) => `segment[${i}]: ${m}`),
          field,
          path,
        ),
      );
  }
  return causes;
}

/** Also of conversion webhooks and aggregated APIs, which are reached in the same way. */
export function validateClientConfig(config: Partial<WebhookClientConfig> | undefined, at: string): Causes {
  const { url, service } = config ?? {};
  if ((url === undefined) === (service === undefined))
    return [required(at, "exactly one of url or service is required")];
  if (url !== undefined) return validateUrl(url, `${at}.url`);
  const field = `${at}.service`;
  const port = service?.port ?? HTTPS_PORT;
  // The original mixes the two up, so an empty name is told of the namespace and the other way round.
  return [
    ...(service?.namespace ? [] : [required(`${field}.name`)]),
    ...(service?.name ? [] : [required(`${field}.namespace`)]),
    ...(port >= 1 && port <= 65535
      ? []
      : [invalidValue(`${field}.port`, port, "port is not valid: must be between 1 and 65535, inclusive")]),
    ...validatePath(service?.path, `${field}.path`),
  ];
}

function fullyQualified(name: string | undefined, field: string): Causes {
  if (!name) return [required(field)];
  const messages = isDNS1123Subdomain(name);
  if (messages.length > 0) return [invalidValue(field, name, messages.join(","))];
  return name.split(".").length < 3
    ? [invalidValue(field, name, "should be a domain with at least three segments separated by dots")]
    : [];
}

/** `missing`: what is said where there are none; `known`: one at least must be of those that the server speaks. */
export function validateReviewVersions(
  versions: readonly string[] | undefined,
  field: string,
  known: boolean,
  missing = `must specify one of ${REVIEW_VERSIONS.join(", ")}`,
): Causes {
  if (!versions?.length) return [required(field, missing)];
  const causes = versions.flatMap((version, i) =>
    versions.indexOf(version) < i
      ? [invalidValue(`${field}[${i}]`, version, "duplicate version")]
      : each(isDNS1035Label(version), `${field}[${i}]`, version),
  );
  if (known && !versions.some((version) => REVIEW_VERSIONS.includes(version)))
    causes.push(invalidValue(field, versions, `must include at least one of ${REVIEW_VERSIONS.join(", ")}`));
  return causes;
}

const sideEffectFree = (hooks: readonly MutatingWebhook[]) =>
  hooks.every((h) => NO_SIDE_EFFECTS.includes(h.sideEffects));
const reviewable = (hooks: readonly MutatingWebhook[]) =>
  hooks.every(({ admissionReviewVersions: v }) => !v?.length || v.some((version) => REVIEW_VERSIONS.includes(version)));
const unique = (hooks: readonly MutatingWebhook[]) => new Set(hooks.map(({ name }) => name)).size === hooks.length;

/** What was stored before a rule was made stricter may stay as it is. */
interface Leniency {
  conditions: boolean;
  sideEffects: readonly string[];
  knownVersion: boolean;
  uniqueNames: boolean;
}

function leniency(next: readonly MutatingWebhook[], old: readonly MutatingWebhook[] | undefined): Leniency {
  const unchanged =
    old?.length === next.length && old.every((o, i) => same(o.matchConditions, next[i]?.matchConditions));
  return {
    conditions: !unchanged,
    sideEffects: !old || sideEffectFree(old) ? NO_SIDE_EFFECTS : SIDE_EFFECTS,
    knownVersion: !old || reviewable(old),
    uniqueNames: !old || unique(old),
  };
}

function validateHook(hook: MutatingWebhook, at: string, rules: Leniency): Causes {
  const { timeoutSeconds: timeout, sideEffects } = hook;
  return [
    ...fullyQualified(hook.name, `${at}.name`),
    ...(hook.rules ?? []).flatMap((rule, i) => validateRule(rule, `${at}.rules[${i}]`)),
    ...oneOf(hook.failurePolicy, `${at}.failurePolicy`, FAILURE_POLICIES),
    ...oneOf(hook.matchPolicy, `${at}.matchPolicy`, MATCH_POLICIES),
    ...(typeof sideEffects !== "string"
      ? [required(`${at}.sideEffects`, `must specify one of ${rules.sideEffects.join(", ")}`)]
      : rules.sideEffects.includes(sideEffects)
        ? []
        : [notSupported(`${at}.sideEffects`, sideEffects, rules.sideEffects)]),
    ...(timeout !== undefined && (timeout < TIMEOUT_SECONDS.min || timeout > TIMEOUT_SECONDS.max)
      ? [invalidValue(`${at}.timeoutSeconds`, timeout, "the timeout value must be between 1 and 30 seconds")]
      : []),
    ...(hook.namespaceSelector ? validateLabelSelector(hook.namespaceSelector, `${at}.namespaceSelector`) : []),
    ...(hook.objectSelector ? validateLabelSelector(hook.objectSelector, `${at}.objectSelector`) : []),
    ...oneOf(hook.reinvocationPolicy, `${at}.reinvocationPolicy`, REINVOCATION_POLICIES),
    ...validateClientConfig(hook.clientConfig, `${at}.clientConfig`),
    ...(rules.conditions ? validateConditions(hook.matchConditions, `${at}.matchConditions`, {}) : []),
    ...validateReviewVersions(hook.admissionReviewVersions, `${at}.admissionReviewVersions`, rules.knownVersion),
  ];
}

function validateHooks(object: DynamicObject, old?: DynamicObject): Causes {
  const hooks = hooksOf(object);
  const rules = leniency(hooks, old && hooksOf(old));
  return hooks.flatMap((hook, i) => {
    const again = rules.uniqueNames && hook.name && hooks.findIndex(({ name }) => name === hook.name) < i;
    const causes = validateHook(hook, `webhooks[${i}]`, rules);
    return again ? [...causes, duplicate(`webhooks[${i}].name`, hook.name)] : causes;
  });
}

function applyDefaults(object: DynamicObject, mutating: boolean): void {
  for (const hook of hooksOf(object)) {
    hook.failurePolicy ??= "Fail";
    hook.matchPolicy ??= "Equivalent";
    hook.namespaceSelector ??= {};
    hook.objectSelector ??= {};
    hook.timeoutSeconds ??= TIMEOUT_SECONDS.default;
    if (mutating) hook.reinvocationPolicy ??= "Never";
    for (const rule of hook.rules ?? []) defaultRule(rule);
    if (hook.clientConfig?.service) hook.clientConfig.service.port ??= HTTPS_PORT;
  }
}

export const webhookConfigurationStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: true,
    allowUnconditionalUpdate: false,
    applyDefaults: (object) => applyDefaults(object, facts.kind === "MutatingWebhookConfiguration"),
    validate: (object) => validateHooks(object),
    validateUpdate: validateHooks,
  });
