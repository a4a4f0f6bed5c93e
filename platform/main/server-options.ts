/**
 * Options of the API server that go by kube-apiserver's own names: `--name VALUE` to `up`. Files are named, never their content: nothing secret
 * stands on a command line. What was given once holds until it is given anew; an empty value takes it back.
 */
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { FeatureGates } from "#platform/apiserver/features/features.ts";
import { parseRuntimeConfig } from "#platform/apiserver/features/runtime-config.ts";
import { messageOf } from "#platform/base/log.ts";
import { admissionSwitches } from "./admission-options.ts";
import { UserError } from "./steps.ts";

/** Every value is text as it was given; files are absolute paths. */
export interface ServerOptions {
  encryptionProviderConfig?: string;
  authenticationConfig?: string;
  authenticationTokenWebhookConfigFile?: string;
  authenticationTokenWebhookCacheTtl?: string;
  tokenAuthFile?: string;
  enableBootstrapTokenAuth?: string;
  anonymousAuth?: string;
  authorizationConfig?: string;
  authorizationMode?: string;
  authorizationPolicyFile?: string;
  authorizationWebhookConfigFile?: string;
  authorizationWebhookCacheAuthorizedTtl?: string;
  authorizationWebhookCacheUnauthorizedTtl?: string;
  auditPolicyFile?: string;
  auditWebhookConfigFile?: string;
  enableAdmissionPlugins?: string;
  disableAdmissionPlugins?: string;
  featureGates?: string;
  runtimeConfig?: string;
  schedulerConfig?: string;
  schedulers?: string;
}

type Name = keyof ServerOptions;

interface Option {
  flag: string;
  name: Name;
  kind: "file" | "boolean" | "text";
  help: string;
}

const option = (flag: string, kind: Option["kind"], help: string): Option => ({
  flag,
  kind,
  help,
  name: flag.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase()) as Name,
});

export const SERVER_OPTIONS: readonly Option[] = [
  option("encryption-provider-config", "file", "EncryptionConfiguration: what is encrypted in the database"),
  option("authentication-config", "file", "AuthenticationConfiguration: JWT issuers (OIDC), anonymous requests"),
  option("authentication-token-webhook-config-file", "file", "kubeconfig of a webhook that knows bearer tokens"),
  option("authentication-token-webhook-cache-ttl", "text", "how long its answers hold (2m)"),
  option("token-auth-file", "file", 'static tokens: token,user,uid,"group1,group2"'),
  option("enable-bootstrap-token-auth", "boolean", "secrets of type bootstrap.kubernetes.io/token log in (true)"),
  option("anonymous-auth", "boolean", "requests without credentials are system:anonymous (true)"),
  option("authorization-config", "file", "AuthorizationConfiguration: the authorizers, in their order"),
  option("authorization-mode", "text", "Node,RBAC,ABAC,Webhook,Component,AlwaysAllow,AlwaysDeny (Node,RBAC)"),
  option("authorization-policy-file", "file", "ABAC's policies, a JSON object a line"),
  option("authorization-webhook-config-file", "file", "kubeconfig of a webhook that is asked who may"),
  option("authorization-webhook-cache-authorized-ttl", "text", "how long its yes holds (5m)"),
  option("authorization-webhook-cache-unauthorized-ttl", "text", "how long its no holds (30s)"),
  option("audit-policy-file", "file", "audit Policy: what is recorded"),
  option("audit-webhook-config-file", "file", "kubeconfig of where audit events go besides the file"),
  option("enable-admission-plugins", "text", "NAME,…: besides those that are on by default"),
  option("disable-admission-plugins", "text", "NAME,…: of those that are on by default"),
  option("feature-gates", "text", "NAME=true|false,…"),
  option("runtime-config", "text", "GROUP/VERSION=true|false,… (or api/alpha, api/beta, api/all): what else is served"),
  option("schedulers", "text", "how many schedulers work at once, 1 to 16 (1)"),
  option("scheduler-config", "file", "KubeSchedulerConfiguration: profiles of the scheduler"),
];

/** Options that kube-apiserver no longer has, or that say by an argument what belongs into a file, with what to use instead. */
const REFUSED: Readonly<Record<string, string>> = {
  "basic-auth-file":
    "Kubernetes removed basic authentication in 1.19 (passwords in a file are neither revocable nor rotated); use client certificates, service-account tokens, or OIDC by --authentication-config",
};
for (const name of [
  "issuer-url",
  "client-id",
  "username-claim",
  "username-prefix",
  "groups-claim",
  "groups-prefix",
  "ca-file",
  "required-claim",
  "signing-algs",
])
  Object.assign(REFUSED, {
    [`oidc-${name}`]: "JWT issuers are described by --authentication-config (kind AuthenticationConfiguration)",
  });

/** All flags, for the parser: refused ones too, so that they can be told why. */
export const serverFlags = (): string[] => [...SERVER_OPTIONS.map(({ flag }) => flag), ...Object.keys(REFUSED)];

/** Throws UserError. `given` holds what was on the command line. */
export function parseServerOptions(given: (flag: string) => string | undefined): ServerOptions {
  for (const [flag, why] of Object.entries(REFUSED))
    if (given(flag) !== undefined) throw new UserError(`--${flag} is not there: ${why}`, "npm run up -- --help");
  const found: ServerOptions = {};
  for (const { flag, name, kind } of SERVER_OPTIONS) {
    const value = given(flag);
    if (value !== undefined) found[name] = value === "" ? "" : checked(flag, kind, value);
  }
  checkAdmission(found);
  return found;
}

function checked(flag: string, kind: Option["kind"], value: string): string {
  if (flag === "feature-gates") checkGates(value);
  if (flag === "runtime-config") checkRuntimeConfig(value);
  if (flag === "schedulers" && !/^([1-9]|1[0-6])$/.test(value))
    throw new UserError(
      `--schedulers takes a whole number from 1 to 16, not "${value}"`,
      "npm run up -- --schedulers 2",
    );
  if (kind === "boolean" && value !== "true" && value !== "false")
    throw new UserError(`--${flag} is true or false, not "${value}"`, `npm run up -- --${flag}=true`);
  if (kind !== "file") return value;
  const path = resolve(value);
  if (!existsSync(path)) throw new UserError(`--${flag}: ${path} does not exist`, "npm run up -- --help");
  return path;
}

function checkAdmission({ enableAdmissionPlugins, disableAdmissionPlugins }: ServerOptions): void {
  try {
    admissionSwitches(enableAdmissionPlugins, disableAdmissionPlugins);
  } catch (error) {
    throw new UserError(messageOf(error), "npm run up -- --enable-admission-plugins=NAME,…");
  }
}

function checkRuntimeConfig(value: string): void {
  try {
    parseRuntimeConfig(value);
  } catch (error) {
    throw new UserError(`--runtime-config: ${messageOf(error)}`, "npm run up -- --runtime-config=api/beta=true");
  }
}

function checkGates(value: string): void {
  try {
    new FeatureGates(value);
  } catch (error) {
    throw new UserError(`--feature-gates: ${messageOf(error)}`, "npm run up -- --feature-gates=NAME=true");
  }
}

/** What holds now: what was given wins over what an earlier `up` was given; "" takes an option back. */
export function mergeServerOptions(before: ServerOptions | undefined, given: ServerOptions): ServerOptions | undefined {
  const all = Object.entries({ ...before, ...given }).filter(([, value]) => value !== "");
  return all.length > 0 ? (Object.fromEntries(all) as ServerOptions) : undefined;
}

export const serverOptionHelp = `options of the API server, named as kube-apiserver's (kept for later starts; an empty value takes one back):
${SERVER_OPTIONS.map(({ flag, kind, help }) => `  --${flag}${kind === "file" ? " FILE" : ""}  ${help}`).join("\n")}`;

/** How many schedulers work at once. */
export const schedulerCount = ({ server }: { server?: ServerOptions }): number => Number(server?.schedulers || 1);
