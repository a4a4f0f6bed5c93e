/**
 * What a user signs in with, read into a credential. A kubeconfig is text from a browser: it may name no file (the server
 * would read its own disk) and run no program; its server address is not used, the console talks to its own API only.
 */
import { X509Certificate } from "node:crypto";
import { createSecureContext } from "node:tls";
import { parse } from "yaml";
import { z } from "zod";
import { badRequest } from "#sdk/api/status.ts";

export const KUBECONFIG_CHARS_MAX = 256 * 1024;
const TOKEN_CHARS_MAX = 16 * 1024;

export interface Credential {
  token?: string;
  /** PEM. */
  cert?: string;
  key?: string;
  /** From the kubeconfig's server URL (/tenants/NAME); "" for the credential's own. */
  tenant: string;
  namespace: string;
  /** The name the credential itself gives, until the API server says better. */
  name: string;
}

const userSchema = z.looseObject({
  token: z.string().optional(),
  "client-certificate-data": z.string().optional(),
  "client-key-data": z.string().optional(),
});
const kubeconfigSchema = z.looseObject({
  "current-context": z.string().default(""),
  clusters: z
    .array(z.looseObject({ name: z.string(), cluster: z.looseObject({ server: z.string() }) }))
    .nullish()
    .transform((list) => list ?? []),
  contexts: z
    .array(
      z.looseObject({
        name: z.string(),
        context: z.looseObject({ cluster: z.string(), user: z.string(), namespace: z.string().optional() }),
      }),
    )
    .nullish()
    .transform((list) => list ?? []),
  users: z
    .array(z.looseObject({ name: z.string(), user: userSchema.nullish().transform((user) => user ?? {}) }))
    .nullish()
    .transform((list) => list ?? []),
});
type User = z.infer<typeof userSchema>;

/** A bearer token. Throws StatusError 400 that says what to do. */
export function credentialOfToken(text: string): Credential {
  const token = text.trim().replace(/^Bearer\s+/i, "");
  if (token === "")
    throw badRequest("The token is empty. Paste the token itself, for example from: kubectl create token NAME");
  if (token.length > TOKEN_CHARS_MAX || !/^[\x21-\x7e]+$/.test(token)) {
    throw badRequest("This is not a bearer token: a token is one word of printable characters.");
  }
  return { token, tenant: "", namespace: "", name: subjectOf(token) ?? "token user" };
}

/** The current context's user. Throws StatusError 400 that says what to do. */
export function credentialOfKubeconfig(text: string): Credential {
  const { config, user, server, namespace } = readKubeconfig(text);
  const token = user.token;
  const cert = pem(user["client-certificate-data"]);
  const key = pem(user["client-key-data"]);
  if (!token && !(cert && key)) throw badRequest(missingCredential(user));
  if (cert && key) checkPair(cert, key);
  const tenant = /\/tenants\/([a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?)\/?$/.exec(new URL(server).pathname)?.[1] ?? "";
  const name = (cert && commonName(cert)) ?? (token && subjectOf(token)) ?? config["current-context"];
  return { ...(cert && key ? { cert, key } : { token }), tenant, namespace: namespace ?? "", name };
}

function readKubeconfig(text: string) {
  const parsed = kubeconfigSchema.safeParse(parseYaml(text));
  if (!parsed.success) throw badRequest(`This is not a kubeconfig: ${z.prettifyError(parsed.error)}`);
  const config = parsed.data;
  const wanted = config["current-context"];
  const context = config.contexts.find(({ name }) => name === wanted)?.context;
  if (!context) {
    throw badRequest(`The kubeconfig has no context "${wanted}". Choose one first: kubectl config use-context NAME`);
  }
  const user = config.users.find(({ name }) => name === context.user)?.user;
  if (!user) throw badRequest(`The kubeconfig has no user "${context.user}", which its context "${wanted}" names.`);
  const server = config.clusters.find(({ name }) => name === context.cluster)?.cluster.server ?? "";
  if (!URL.canParse(server)) throw badRequest(`The kubeconfig's cluster "${context.cluster}" has no valid server URL.`);
  return { config, user, server, namespace: context.namespace };
}

function parseYaml(text: string): unknown {
  try {
    return parse(text);
  } catch (error) {
    throw badRequest(
      `This is not a kubeconfig: ${error instanceof Error ? error.message.split("\n", 1)[0] : "not YAML"}`,
    );
  }
}

/** Names fields only, never values. */
function missingCredential(user: User): string {
  const names = Object.keys(user);
  if (names.some((name) => ["client-certificate", "client-key", "tokenFile"].includes(name))) {
    return "This kubeconfig names files, which the console cannot read. Paste it with the files in it: kubectl config view --raw --flatten";
  }
  if (names.includes("exec") || names.includes("auth-provider")) {
    return "This kubeconfig's user signs in by running a program, which the console does not do. Sign in with a token instead.";
  }
  return "The kubeconfig's current user has no client certificate with key and no token.";
}

function pem(data: string | undefined): string | undefined {
  return data === undefined ? undefined : Buffer.from(data, "base64").toString("utf8");
}

function checkPair(cert: string, key: string): void {
  try {
    createSecureContext({ cert, key });
  } catch {
    throw badRequest("The kubeconfig's client certificate and key are not in PEM or do not belong together.");
  }
}

function commonName(cert: string): string | undefined {
  try {
    return /^CN=(.+)$/m.exec(new X509Certificate(cert).subject)?.[1];
  } catch {
    return undefined;
  }
}

/** The subject a JSON web token claims; only a label until the API server has accepted the token. */
function subjectOf(token: string): string | undefined {
  try {
    const claims: unknown = JSON.parse(Buffer.from(token.split(".")[1] ?? "", "base64url").toString("utf8"));
    const subject = (claims as { sub?: unknown }).sub;
    return typeof subject === "string" ? subject : undefined;
  } catch {
    return undefined;
  }
}
