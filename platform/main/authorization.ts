/** Whether they may, put together: root's masters first, then the authorizers of the configuration in their order. */
import { readFileSync } from "node:fs";
import { abac, parsePolicies } from "#platform/apiserver/authz/abac.ts";
import {
  type Authorizer,
  alwaysAllow,
  alwaysDeny,
  masters,
  ReplaceableAuthorizer,
  unionOf,
} from "#platform/apiserver/authz/authorizer.ts";
import {
  AuthorizationConfigurationError,
  type AuthorizerSpec,
  parseAuthorizationConfiguration,
  parseModes,
} from "#platform/apiserver/authz/configuration.ts";
import { webhookAuthorizer } from "#platform/apiserver/authz/webhook.ts";
import type { Clock } from "#platform/base/clock.ts";
import { followFile } from "#platform/base/follow-file.ts";
import type { Log } from "#platform/base/log.ts";
import { millisecondsOf } from "./durations.ts";
import { remoteOf } from "./identity.ts";
import type { ServerOptions } from "./server-options.ts";

const DEFAULT_MODES = "Node,RBAC";
const TIMEOUT_MS = 30_000;
const AUTHORIZED_MS = 300_000;
const UNAUTHORIZED_MS = 30_000;

export interface AuthorizationParts {
  options: ServerOptions;
  node: Authorizer;
  rbac: Authorizer;
  /** The plugins of world `authorizer`. */
  component: Authorizer;
  clock: Clock;
  log: Log;
  signal: AbortSignal;
}

/** Throws Error with what is wrong; a server that cannot tell who may do what does not start. */
export function authorizationOf(parts: AuthorizationParts): Authorizer {
  const { options: o, log, signal } = parts;
  const chain = new ReplaceableAuthorizer(masters);
  const use = (specs: readonly AuthorizerSpec[]) =>
    chain.replace(unionOf([masters, ...specs.map((spec) => authorizerOf(spec, parts))]));
  const path = o.authorizationConfig;
  if (!path) use(parseModes(o.authorizationMode ?? DEFAULT_MODES, () => webhookByOptions(o)));
  else {
    const clashing = (["authorizationMode", "authorizationWebhookConfigFile"] as const).filter((name) => o[name]);
    if (clashing.length > 0)
      throw new AuthorizationConfigurationError(
        "--authorization-config",
        "may not be given together with --authorization-mode or --authorization-webhook-config-file",
      );
    const onChange = (text: string) => use(parseAuthorizationConfiguration(text));
    onChange(followFile({ path, what: "the authorization configuration", onChange, log }, signal));
  }
  return chain;
}

function webhookByOptions(o: ServerOptions): AuthorizerSpec {
  const kubeconfig = o.authorizationWebhookConfigFile;
  if (!kubeconfig)
    throw new AuthorizationConfigurationError(
      "--authorization-mode",
      "Webhook needs --authorization-webhook-config-file",
    );
  const webhook = {
    name: "default",
    version: "v1" as const,
    timeoutMs: TIMEOUT_MS,
    authorizedMs: millisecondsOf(o.authorizationWebhookCacheAuthorizedTtl, AUTHORIZED_MS),
    unauthorizedMs: millisecondsOf(o.authorizationWebhookCacheUnauthorizedTtl, UNAUTHORIZED_MS),
    failurePolicy: "NoOpinion" as const,
    matchConditions: [],
  };
  return { type: "Webhook", kubeconfig, webhook };
}

function authorizerOf(
  spec: AuthorizerSpec,
  { options, node, rbac, component, clock, log }: AuthorizationParts,
): Authorizer {
  switch (spec.type) {
    case "Node":
      return node;
    case "RBAC":
      return rbac;
    case "Component":
      return component;
    case "AlwaysAllow":
      return alwaysAllow;
    case "AlwaysDeny":
      return alwaysDeny;
    case "ABAC": {
      const file = options.authorizationPolicyFile;
      if (!file)
        throw new AuthorizationConfigurationError("--authorization-mode", "ABAC needs --authorization-policy-file");
      return abac(parsePolicies(readFileSync(file, "utf8")));
    }
    case "Webhook":
      return webhookAuthorizer(spec.webhook, remoteOf(spec.kubeconfig), log, () => clock.now());
  }
}
