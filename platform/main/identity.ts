/** Who is asking, put together: certificates, service-account tokens, and what the operator's options add. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import {
  type AnonymousRule,
  type Authenticator,
  firstOf,
  Replaceable,
} from "#platform/apiserver/authn/authenticator.ts";
import { bootstrapTokens } from "#platform/apiserver/authn/bootstrapTokens.ts";
import { jwtAuthenticator } from "#platform/apiserver/authn/oidc/authenticator.ts";
import { parseAuthenticationConfiguration } from "#platform/apiserver/authn/oidc/configuration.ts";
import { tokenReviewer } from "#platform/apiserver/authn/review.ts";
import { ISSUER, type TokenReviewer } from "#platform/apiserver/authn/serviceAccounts.ts";
import { tokenFile } from "#platform/apiserver/authn/tokenFile.ts";
import { webhookTokens } from "#platform/apiserver/authn/webhook.ts";
import type { Remote } from "#platform/apiserver/webhook/remote.ts";
import { followFile } from "#platform/base/follow-file.ts";
import type { Log } from "#platform/base/log.ts";
import type { Store } from "#platform/store/port.ts";
import type { TenantDirectory } from "#platform/store/tenants.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { type Config, paths } from "./config.ts";
import { millisecondsOf } from "./durations.ts";

/** Read where --token-auth-file names no other. */
const TOKENS = "tokens.csv";
const WEBHOOK_TTL_MS = 120_000;

export interface IdentityParts {
  config: Config;
  store: Store;
  tenants: TenantDirectory;
  certificates: Authenticator;
  frontProxy: Authenticator;
  tokens: Authenticator & TokenReviewer;
  /** Those that plugins bring. */
  more: readonly Authenticator[];
  log: Log;
  /** Ends the following of the configuration's file. */
  signal: AbortSignal;
}

export interface Identity {
  authenticator: Authenticator;
  anonymous: AnonymousRule;
  /** For TokenReview. */
  reviewer: TokenReviewer;
}

export function remoteOf(kubeconfig: string): Remote {
  const { server, ca, cert, key, token, tokenFile: file } = loadKubeconfig(kubeconfig);
  const bearer = token ?? (file ? readFileSync(file, "utf8").trim() : undefined);
  return {
    url: server,
    ...(ca ? { ca } : {}),
    ...(cert && key ? { cert, key } : {}),
    ...(bearer ? { token: bearer } : {}),
  };
}

/** Throws Error with what is wrong in a file; a server that cannot tell who asks does not start. */
export function identityOf(parts: IdentityParts): Identity {
  const { config, store, tenants, certificates, tokens, more, log } = parts;
  const { server: o = {} } = config;
  const file = o.tokenAuthFile ?? join(paths(config.dataDir).pki, TOKENS);
  const configured = configuredOf(parts);
  const webhook = o.authenticationTokenWebhookConfigFile;
  const ttlMs = millisecondsOf(o.authenticationTokenWebhookCacheTtl, WEBHOOK_TTL_MS);
  const others = [
    ...(existsSync(file) ? [tokenFile(readFileSync(file, "utf8"))] : []),
    ...(o.enableBootstrapTokenAuth === "false" ? [] : [bootstrapTokens(store, tenants)]),
    configured.issuers,
    ...more,
    ...(webhook ? [webhookTokens({ remote: remoteOf(webhook), ttlMs, audiences: [ISSUER], log })] : []),
  ];
  return {
    authenticator: firstOf([parts.frontProxy, certificates, tokens, ...others]),
    anonymous: configured.anonymous,
    reviewer: tokenReviewer(tokens, firstOf(others), [ISSUER]),
  };
}

/** What the file AuthenticationConfiguration says, followed. */
function configuredOf({ config: { server: o = {} }, log, signal }: IdentityParts) {
  const byOption: AnonymousRule = () => o.anonymousAuth !== "false";
  const issuers = new Replaceable(firstOf([]));
  let anonymous = byOption;
  const onChange = (text: string) => {
    const read = parseAuthenticationConfiguration(text, [ISSUER]);
    if (read.anonymous && o.anonymousAuth !== undefined)
      throw new Error("--anonymous-auth and anonymous in the authentication configuration exclude each other");
    issuers.replace(firstOf(read.issuers.map((issuer) => jwtAuthenticator(issuer, log))));
    anonymous = read.anonymous ?? byOption;
  };
  const path = o.authenticationConfig;
  if (path) onChange(followFile({ path, what: "the authentication configuration", onChange, log }, signal));
  return { issuers, anonymous: (asked: string) => anonymous(asked) };
}
