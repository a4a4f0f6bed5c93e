/** EncryptionConfiguration (apiserver.config.k8s.io/v1): which resources are sealed in the database, and by what. */
import { parse } from "yaml";
import { z } from "zod";

const key = z.strictObject({ name: z.string().min(1), secret: z.string().min(1) });
const keys = z.strictObject({ keys: z.array(key).min(1) });
const kms = z.strictObject({
  apiVersion: z.string().default("v1"),
  name: z.string().min(1),
  endpoint: z.string().min(1),
  timeout: z.string().default("3s"),
  cachesize: z.number().optional(),
});
const provider = z.strictObject({
  aesgcm: keys.optional(),
  aescbc: keys.optional(),
  secretbox: keys.optional(),
  kms: kms.optional(),
  identity: z.strictObject({}).nullable().optional(),
});
const configuration = z.strictObject({
  apiVersion: z.literal("apiserver.config.k8s.io/v1"),
  kind: z.literal("EncryptionConfiguration"),
  resources: z
    .array(z.strictObject({ resources: z.array(z.string()).min(1), providers: z.array(provider).min(1) }))
    .min(1),
});

export type KeyProviderKind = "aesgcm" | "aescbc" | "secretbox";

export type ProviderSpec =
  | { kind: KeyProviderKind; keys: { name: string; secret: Buffer }[] }
  /** `socket` is the path of a unix socket. */
  | { kind: "kms"; name: string; socket: string; timeoutMs: number }
  | { kind: "identity" };

export interface ResourceSpec {
  resources: string[];
  providers: ProviderSpec[];
}

/** The first thing that is wrong, by its place; never with a key in it. */
export class ConfigurationError extends Error {
  constructor(path: string, why: string) {
    super(`encryption configuration: ${path}: ${why}`);
  }
}

const KEY_BYTES: Record<KeyProviderKind, readonly number[]> = {
  aesgcm: [16, 24, 32],
  aescbc: [16, 24, 32],
  secretbox: [32],
};
const UNITS: Record<string, number> = { ms: 1, s: 1_000, m: 60_000 };
/** Kept as rows of other objects or not at all: no object of theirs is written by this name. */
const NO_API = ["apiserveripinfo", "serviceipallocations", "servicenodeportallocations"];

/** Throws ConfigurationError. */
export function parseConfiguration(text: string): ResourceSpec[] {
  const result = configuration.safeParse(readYaml(text));
  if (!result.success) {
    const [issue] = result.error.issues;
    throw new ConfigurationError(issue?.path.join(".") ?? "", issue?.message ?? "is invalid");
  }
  const names = new Set<string>();
  return result.data.resources.map(({ resources, providers }, i) => {
    checkResources(resources, `resources[${i}].resources`);
    return { resources, providers: providers.map((p, j) => providerOf(p, `resources[${i}].providers[${j}]`, names)) };
  });
}

function readYaml(text: string): unknown {
  try {
    return parse(text);
  } catch {
    // The parser's words quote the text, which holds keys.
    throw new ConfigurationError("", "is neither YAML nor JSON");
  }
}

function checkResources(resources: readonly string[], path: string): void {
  if (new Set(resources).size !== resources.length)
    throw new ConfigurationError(path, "the same resource cannot be specified multiple times");
  for (const resource of resources) {
    const why = wrongResource(resource);
    if (why) throw new ConfigurationError(path, `${resource}: ${why}`);
  }
  const overlaps = resources.some((one) => isWildcard(one) && resources.some((r) => r !== one && covers(one, r)));
  if (overlaps)
    throw new ConfigurationError(
      path,
      "using overlapping resources such as 'secrets' and '*.' in the same resource list is not allowed as they will be masked",
    );
}

function wrongResource(resource: string): string | undefined {
  const group = resource.slice(resource.indexOf(".") + 1);
  if (resource.toLowerCase() !== resource) return "resource name should not contain capital letters";
  if (resource === "*")
    return "use '*.' to encrypt all the resources from core API group or *.* to encrypt all resources";
  if (NO_API.includes(resource)) return "resources which do not have REST API/s cannot be encrypted";
  if (group === "events.k8s.io") return "use 'events' instead: events are stored in the core group";
  if (group === "extensions") return "'extensions' group has been removed and cannot be used for encryption";
  if (group === "*" && resource !== "*.*") return "encrypting the same resource across groups is not supported";
  return undefined;
}

const isWildcard = (resource: string): boolean => resource.startsWith("*.");
const groupOf = (resource: string): string => (resource.includes(".") ? resource.slice(resource.indexOf(".") + 1) : "");

/** Whether an entry of a resource list means a resource ("secrets", "deployments.apps"). */
export function covers(entry: string, resource: string): boolean {
  if (entry === "*.*" || entry === resource) return true;
  return isWildcard(entry) && entry.slice(2) === groupOf(resource);
}

type Provider = z.infer<typeof provider>;

function providerOf(p: Provider, path: string, kmsNames: Set<string>): ProviderSpec {
  const named = Object.entries(p).filter(([, value]) => value !== undefined);
  const [first] = named;
  if (!first)
    throw new ConfigurationError(path, "provider does not contain any of: kms, aesgcm, aescbc, secretbox, identity");
  if (named.length > 1)
    throw new ConfigurationError(
      path,
      "more than one provider specified in a single element, should split into different list elements",
    );
  if (p.kms) return kmsOf(p.kms, `${path}.kms`, kmsNames);
  const kind = first[0] as KeyProviderKind | "identity";
  if (kind === "identity") return { kind };
  return { kind, keys: (p[kind]?.keys ?? []).map((k, i) => keyOf(kind, k, `${path}.${kind}.keys[${i}]`)) };
}

function keyOf(kind: KeyProviderKind, { name, secret }: z.infer<typeof key>, path: string) {
  const bytes = Buffer.from(secret, "base64");
  if (bytes.toString("base64") !== secret.trim())
    throw new ConfigurationError(`${path}.secret`, "secrets must be base64 encoded");
  if (!KEY_BYTES[kind].includes(bytes.length))
    throw new ConfigurationError(
      `${path}.secret`,
      `secret is not of the expected length, got ${bytes.length}, expected one of [${KEY_BYTES[kind].join(" ")}]`,
    );
  if (name.includes(":")) throw new ConfigurationError(`${path}.name`, "must not contain ':'");
  return { name, secret: bytes };
}

function kmsOf(c: z.infer<typeof kms>, path: string, names: Set<string>): ProviderSpec {
  if (c.apiVersion !== "v2")
    throw new ConfigurationError(`${path}.apiVersion`, `unsupported apiVersion ${c.apiVersion}, only v2 is supported`);
  if (c.cachesize !== undefined) throw new ConfigurationError(`${path}.cachesize`, "cachesize is not supported in v2");
  if (c.name.includes(":"))
    throw new ConfigurationError(`${path}.name`, `invalid KMS provider name ${c.name}, must not contain ':'`);
  if (names.has(c.name))
    throw new ConfigurationError(`${path}.name`, `duplicate KMS provider name ${c.name}, names must be unique`);
  names.add(c.name);
  if (!/^unix:\/\//.test(c.endpoint))
    throw new ConfigurationError(`${path}.endpoint`, "unsupported scheme for KMS provider, only unix is supported");
  const [, amount = "", unit = ""] = /^(\d+(?:\.\d+)?)(ms|s|m)$/.exec(c.timeout) ?? [];
  const timeoutMs = Number(amount) * (UNITS[unit] ?? 0);
  if (!(timeoutMs > 0)) throw new ConfigurationError(`${path}.timeout`, "timeout should be a positive value");
  // As upstream: an at sign names a socket in the abstract namespace.
  const name = c.endpoint.slice("unix://".length);
  return { kind: "kms", name: c.name, socket: name.replace(/^\/@/, "@"), timeoutMs };
}
