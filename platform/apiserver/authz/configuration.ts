/** Which authorizers are asked, in which order: AuthorizationConfiguration (apiserver.config.k8s.io/v1), or the names of --authorization-mode. */
import { isAbsolute } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { compileMatchCondition, type WebhookSpec } from "./webhook.ts";

/** `Component` is Capstan's own: the plugins of world `authorizer`. */
export const TYPES = ["Node", "RBAC", "ABAC", "AlwaysAllow", "AlwaysDeny", "Component", "Webhook"] as const;
export type AuthorizerType = (typeof TYPES)[number];

export type AuthorizerSpec =
  | { type: Exclude<AuthorizerType, "Webhook"> }
  /** `kubeconfig` undefined: this server itself. */
  | { type: "Webhook"; webhook: WebhookSpec; kubeconfig: string };

const seconds = /^(\d+(\.\d+)?(ms|s|m|h))+$/;
const duration = z.string().regex(seconds, "must be a duration such as 30s");
const webhook = z.strictObject({
  authorizedTTL: duration.default("5m"),
  cacheAuthorizedRequests: z.boolean().default(true),
  unauthorizedTTL: duration.default("30s"),
  cacheUnauthorizedRequests: z.boolean().default(true),
  timeout: duration,
  subjectAccessReviewVersion: z.enum(["v1", "v1beta1"]),
  matchConditionSubjectAccessReviewVersion: z.enum(["v1"]).optional(),
  failurePolicy: z.enum(["NoOpinion", "Deny"]),
  connectionInfo: z.strictObject({ type: z.string(), kubeConfigFile: z.string().optional() }),
  matchConditions: z.array(z.strictObject({ expression: z.string() })).default([]),
});
const configuration = z.strictObject({
  apiVersion: z.literal("apiserver.config.k8s.io/v1"),
  kind: z.literal("AuthorizationConfiguration"),
  authorizers: z
    .array(z.strictObject({ type: z.string().min(1), name: z.string().min(1), webhook: webhook.optional() }))
    .min(1, "at least one authorization mode must be defined"),
});

/** What is wrong, by its place. */
export class AuthorizationConfigurationError extends Error {
  constructor(path: string, why: string) {
    super(`authorization configuration: ${path}: ${why}`);
  }
}

const TIMEOUT_MS_MAX = 30_000;
const CONDITIONS_MAX = 64;
const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
const milliseconds = (text: string): number =>
  [...text.matchAll(/(\d+(?:\.\d+)?)(ms|s|m|h)/g)].reduce(
    (sum, [, amount, unit]) => sum + Number(amount) * (UNITS[unit ?? ""] ?? 0),
    0,
  );

/** Throws AuthorizationConfigurationError. */
export function parseAuthorizationConfiguration(text: string): AuthorizerSpec[] {
  const result = configuration.safeParse(parse(text));
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new AuthorizationConfigurationError(issue?.path.join(".") ?? "", issue?.message ?? "is invalid");
  }
  const { authorizers } = result.data;
  return authorizers.map(({ type, name, webhook: hook }, i): AuthorizerSpec => {
    const path = `authorizers[${i}]`;
    const before = authorizers.slice(0, i);
    const known = typeOf(type, `${path}.type`);
    if (known !== "Webhook" && before.some((a) => a.type === type))
      throw new AuthorizationConfigurationError(`${path}.type`, `Duplicate value: ${JSON.stringify(type)}`);
    if (before.some((a) => a.name === name))
      throw new AuthorizationConfigurationError(`${path}.name`, `Duplicate value: ${JSON.stringify(name)}`);
    if (known === "Webhook") return webhookOf(name, hook, `${path}.webhook`);
    if (hook) throw new AuthorizationConfigurationError(`${path}.webhook`, "may only be specified when type=Webhook");
    return { type: known };
  });
}

function typeOf(text: string, path: string): AuthorizerType {
  const found = TYPES.find((type) => type === text);
  if (!found)
    throw new AuthorizationConfigurationError(
      path,
      `Unsupported value: ${JSON.stringify(text)}: supported values: ${TYPES.map((t) => JSON.stringify(t)).join(", ")}`,
    );
  return found;
}

function webhookOf(name: string, hook: z.infer<typeof webhook> | undefined, path: string): AuthorizerSpec {
  if (!hook) throw new AuthorizationConfigurationError(path, "required when type=Webhook");
  const timeoutMs = milliseconds(hook.timeout);
  if (!(timeoutMs > 0) || timeoutMs > TIMEOUT_MS_MAX)
    throw new AuthorizationConfigurationError(`${path}.timeout`, "must be > 0s and <= 30s");
  const { type, kubeConfigFile: kubeconfig } = hook.connectionInfo;
  if (type !== "KubeConfigFile")
    throw new AuthorizationConfigurationError(
      `${path}.connectionInfo.type`,
      "only KubeConfigFile is served: there is no pod this server runs in",
    );
  if (!kubeconfig || !isAbsolute(kubeconfig))
    throw new AuthorizationConfigurationError(`${path}.connectionInfo.kubeConfigFile`, "must be an absolute path");
  const matchConditions = hook.matchConditions.map(({ expression }) => expression);
  checkConditions(matchConditions, hook.matchConditionSubjectAccessReviewVersion, path);
  return {
    type: "Webhook",
    kubeconfig,
    webhook: {
      name,
      version: hook.subjectAccessReviewVersion,
      timeoutMs,
      authorizedMs: hook.cacheAuthorizedRequests ? milliseconds(hook.authorizedTTL) : 0,
      unauthorizedMs: hook.cacheUnauthorizedRequests ? milliseconds(hook.unauthorizedTTL) : 0,
      failurePolicy: hook.failurePolicy,
      matchConditions,
    },
  };
}

function checkConditions(sources: readonly string[], version: string | undefined, path: string): void {
  if (sources.length === 0) return;
  if (version === undefined)
    throw new AuthorizationConfigurationError(
      `${path}.matchConditionSubjectAccessReviewVersion`,
      "required if match conditions are specified",
    );
  if (sources.length > CONDITIONS_MAX)
    throw new AuthorizationConfigurationError(`${path}.matchConditions`, `must have at most ${CONDITIONS_MAX} items`);
  for (const [i, source] of sources.entries()) {
    const at = `${path}.matchConditions[${i}].expression`;
    if (source.trim() === "") throw new AuthorizationConfigurationError(at, "Required value");
    if (sources.indexOf(source) !== i) throw new AuthorizationConfigurationError(at, "Duplicate value");
    try {
      compileMatchCondition(source);
    } catch (error) {
      throw new AuthorizationConfigurationError(at, error instanceof Error ? error.message : String(error));
    }
  }
}

/** `Node,RBAC`: in that order, webhooks by what `webhookFor` makes of the options. Throws AuthorizationConfigurationError. */
export function parseModes(text: string, webhookFor: () => AuthorizerSpec): AuthorizerSpec[] {
  const names = text.split(",").map((name) => name.trim());
  return names.map((name, i) => {
    if (names.indexOf(name) !== i)
      throw new AuthorizationConfigurationError("--authorization-mode", `${name} is there twice`);
    const type = typeOf(name, "--authorization-mode");
    return type === "Webhook" ? webhookFor() : { type };
  });
}
