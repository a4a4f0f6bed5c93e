/** AuthenticationConfiguration (apiserver.config.k8s.io/v1): whose JSON Web Tokens are taken, what they say of a user, who may be anonymous. */
import { X509Certificate } from "node:crypto";
import { parse } from "yaml";
import { z } from "zod";
import type { AnonymousRule } from "../authenticator.ts";
import { type ClaimsMapping, compileMapping } from "./claims.ts";

const prefixed = z.strictObject({
  claim: z.string().default(""),
  prefix: z.string().optional(),
  expression: z.string().default(""),
});
const plain = z.strictObject({ claim: z.string().default(""), expression: z.string().default("") });
const jwt = z.strictObject({
  issuer: z.strictObject({
    url: z.string().min(1),
    discoveryURL: z.string().default(""),
    certificateAuthority: z.string().default(""),
    audiences: z.array(z.string().min(1)).min(1),
    audienceMatchPolicy: z.enum(["", "MatchAny"]).default(""),
  }),
  claimValidationRules: z
    .array(
      z.strictObject({
        claim: z.string().default(""),
        requiredValue: z.string().default(""),
        expression: z.string().default(""),
        message: z.string().default(""),
      }),
    )
    .default([]),
  claimMappings: z.strictObject({
    username: prefixed,
    groups: prefixed.default({ claim: "", expression: "" }),
    uid: plain.default({ claim: "", expression: "" }),
    extra: z.array(z.strictObject({ key: z.string().min(1), valueExpression: z.string().min(1) })).default([]),
  }),
  userValidationRules: z
    .array(z.strictObject({ expression: z.string().min(1), message: z.string().default("") }))
    .default([]),
});
const configuration = z.strictObject({
  apiVersion: z.literal("apiserver.config.k8s.io/v1"),
  kind: z.literal("AuthenticationConfiguration"),
  jwt: z.array(jwt).max(64).default([]),
  anonymous: z
    .strictObject({
      enabled: z.boolean(),
      conditions: z.array(z.strictObject({ path: z.string().min(1) })).default([]),
    })
    .optional(),
});

export type JwtConfiguration = z.infer<typeof jwt>;

export interface IssuerSpec {
  issuer: JwtConfiguration["issuer"];
  mapping: ClaimsMapping;
}

export interface AuthenticationConfiguration {
  issuers: IssuerSpec[];
  /** Absent: --anonymous-auth decides. */
  anonymous?: AnonymousRule;
}

/** What is wrong, by its place. */
export class AuthenticationConfigurationError extends Error {
  constructor(path: string, why: string) {
    super(`authentication configuration: ${path}: ${why}`);
  }
}

/** `ownIssuers`: issuers of this server's own tokens, which no other may claim to be. Throws AuthenticationConfigurationError. */
export function parseAuthenticationConfiguration(
  text: string,
  ownIssuers: readonly string[],
): AuthenticationConfiguration {
  const result = configuration.safeParse(parse(text));
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new AuthenticationConfigurationError(issue?.path.join(".") ?? "", issue?.message ?? "is invalid");
  }
  const { jwt: all, anonymous } = result.data;
  const seen = new Set<string>();
  const issuers = all.map((one, i) => {
    checkIssuer(one.issuer, `jwt[${i}].issuer`, ownIssuers);
    if (seen.has(one.issuer.url)) throw new AuthenticationConfigurationError(`jwt[${i}].issuer.url`, "is there twice");
    seen.add(one.issuer.url);
    return { issuer: one.issuer, mapping: mappingOf(one, `jwt[${i}]`) };
  });
  if (!anonymous) return { issuers };
  if (!anonymous.enabled && anonymous.conditions.length > 0)
    throw new AuthenticationConfigurationError(
      "anonymous.conditions",
      "enabled should be set to true when conditions are defined",
    );
  const paths = new Set(anonymous.conditions.map(({ path }) => path));
  return { issuers, anonymous: (path) => anonymous.enabled && (paths.size === 0 || paths.has(path)) };
}

function mappingOf(one: JwtConfiguration, path: string): ClaimsMapping {
  const wrong = (at: string, why: string) => new AuthenticationConfigurationError(`${path}.${at}`, why);
  const { username, groups, uid } = one.claimMappings;
  if (!username.claim && !username.expression) throw wrong("claimMappings.username", "claim or expression is required");
  for (const [name, m] of Object.entries({ username, groups, uid })) {
    const at = `claimMappings.${name}`;
    if (m.claim && m.expression) throw wrong(at, "claim and expression can't both be set");
    if (name === "uid" || !("prefix" in m || m.claim)) continue;
    const { prefix } = m as { prefix?: string };
    if (m.claim && prefix === undefined)
      throw wrong(
        `${at}.prefix`,
        "prefix is required when claim is set. It can be set to an empty string to disable prefixing",
      );
    if (!m.claim && prefix !== undefined) throw wrong(`${at}.prefix`, "prefix can only be set when claim is set");
  }
  for (const [i, rule] of one.claimValidationRules.entries()) {
    const at = `claimValidationRules[${i}]`;
    if (rule.claim && rule.expression) throw wrong(at, "claim and expression can't both be set");
    if (!rule.claim && !rule.expression) throw wrong(at, "claim or expression is required");
    if (rule.claim && rule.message) throw wrong(`${at}.message`, "may not be specified when claim is set");
    if (rule.expression && rule.requiredValue)
      throw wrong(`${at}.requiredValue`, "may not be specified when expression is set");
  }
  for (const [i, { key }] of one.claimMappings.extra.entries()) {
    const at = `claimMappings.extra[${i}].key`;
    const domain = key.split("/")[0] ?? "";
    if (!/^[a-z0-9.-]+\/[^/]/.test(key)) throw wrong(at, 'must be a domain-prefixed path (such as "acme.io/foo")');
    if (key !== key.toLowerCase()) throw wrong(at, "must be lowercase");
    if (/(^|\.)(k8s|kubernetes)\.io$/.test(domain))
      throw wrong(at, "k8s.io, kubernetes.io and their subdomains are reserved");
    if (one.claimMappings.extra.findIndex((e) => e.key === key) !== i) throw wrong(at, "is there twice");
  }
  checkEmail(one, wrong);
  return compileMapping(one, (at, why) => wrong(at, why));
}

/** A user named by an email must have it verified, or the configuration must look at that claim itself. */
function checkEmail(one: JwtConfiguration, wrong: (at: string, why: string) => Error): void {
  const { username, extra } = one.claimMappings;
  const uses = (sources: string[], claim: string) => sources.some((s) => new RegExp(`\\bclaims\\.${claim}\\b`).test(s));
  if (!uses([username.expression], "email")) return;
  const looked = [
    username.expression,
    ...extra.map((e) => e.valueExpression),
    ...one.claimValidationRules.map((r) => r.expression),
  ];
  if (!uses(looked, "email_verified"))
    throw wrong(
      "claimMappings.username.expression",
      "claims.email_verified must be used in claimMappings.username.expression or claimMappings.extra[*].valueExpression or claimValidationRules[*].expression when claims.email is used in claimMappings.username.expression",
    );
}

function checkIssuer(issuer: JwtConfiguration["issuer"], path: string, ownIssuers: readonly string[]): void {
  const wrong = (at: string, why: string) => new AuthenticationConfigurationError(`${path}.${at}`, why);
  if (ownIssuers.includes(issuer.url))
    throw wrong("url", `URL must not overlap with disallowed issuers: [${ownIssuers.join(" ")}]`);
  const addresses = { url: issuer.url, ...(issuer.discoveryURL ? { discoveryURL: issuer.discoveryURL } : {}) };
  for (const [at, text] of Object.entries(addresses)) {
    const url = URL.canParse(text) ? new URL(text) : undefined;
    if (url?.protocol !== "https:") throw wrong(at, "URL scheme must be https");
    if (url.username || url.password) throw wrong(at, "URL must not contain a username or password");
    if (url.search) throw wrong(at, "URL must not contain a query");
    if (url.hash) throw wrong(at, "URL must not contain a fragment");
  }
  if (issuer.discoveryURL && issuer.discoveryURL.replace(/\/+$/, "") === issuer.url.replace(/\/+$/, ""))
    throw wrong("discoveryURL", "discoveryURL must be different from URL");
  if (issuer.audiences.length > 1 && issuer.audienceMatchPolicy !== "MatchAny")
    throw wrong("audienceMatchPolicy", "audienceMatchPolicy must be MatchAny for multiple audiences");
  if (new Set(issuer.audiences).size !== issuer.audiences.length) throw wrong("audiences", "one is there twice");
  if (issuer.certificateAuthority === "") return;
  try {
    new X509Certificate(issuer.certificateAuthority);
  } catch {
    throw wrong("certificateAuthority", "data does not contain any valid RSA or ECDSA certificates");
  }
}
