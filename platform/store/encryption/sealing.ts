/**
 * Seals and opens what the database holds, by the configuration in force. A row's document becomes `k8s:enc:PROVIDER:BASE64`; its labels and
 * fields, sealed together, take the place of the labels. All is bound to the row's key: a text copied to another row does not open.
 */
import type { Log } from "#platform/base/log.ts";
import { messageOf } from "#platform/base/log.ts";
import { internal, unavailable } from "#sdk/api/status.ts";
import type { Key, NewDocument, StoredObject } from "../port.ts";
import { covers, type ProviderSpec, type ResourceSpec } from "./configuration.ts";
import { type KmsTiming, kmsProvider } from "./kms.ts";
import { identity, keyProviders, type Provider, SEALED } from "./providers.ts";

type Strings = Readonly<Record<string, string>>;
/** The only "label" of a sealed row. */
export const SEALED_LABELS = "capstan.dev/sealed";
const UNKNOWN_RESOURCES_MAX = 10_000;

export const isSealed = (text: string): boolean => text.startsWith(SEALED);

interface Rule {
  resources: readonly string[];
  providers: readonly Provider[];
}

/** One configuration, working. */
class Rules {
  readonly #rules: readonly Rule[];
  readonly #byResource = new Map<string, readonly Provider[]>();
  readonly #all: readonly Provider[];

  constructor(specs: readonly ResourceSpec[], log: Log, timing: KmsTiming | undefined) {
    const make = (spec: ProviderSpec): Provider[] => {
      if (spec.kind === "identity") return [identity];
      return spec.kind === "kms" ? [kmsProvider(spec, log, timing)] : keyProviders(spec);
    };
    this.#rules = specs.map(({ resources, providers }) => ({ resources, providers: providers.flatMap(make) }));
    this.#all = this.#rules.flatMap(({ providers }) => providers);
  }

  /** The first list that names the resource; nothing is sealed that none names. */
  providers(resource: string): readonly Provider[] {
    const known = this.#byResource.get(resource);
    if (known) return known;
    const rule = this.#rules.find(({ resources }) => resources.some((entry) => covers(entry, resource)));
    const found = rule?.providers ?? [identity];
    if (this.#byResource.size < UNKNOWN_RESOURCES_MAX) this.#byResource.set(resource, found);
    return found;
  }

  /** Whoever can open it: first what seals the resource now, then any other, since an object may be older than the rule. */
  opener(resource: string, text: string): Provider | undefined {
    const fits = (p: Provider) => p.prefix !== "" && text.startsWith(p.prefix);
    return this.providers(resource).find(fits) ?? this.#all.find(fits);
  }

  writers(): Provider[] {
    return this.#rules.flatMap(({ providers }) => providers.slice(0, 1));
  }

  close(): void {
    for (const provider of this.#all) provider.close?.();
  }
}

const whereOf = ({ tenant, resource, namespace, name }: Key, part: string): Buffer =>
  Buffer.from(JSON.stringify([part, tenant, resource, namespace, name]));
const keyText = ({ tenant, resource, namespace, name }: Key): string =>
  `${resource}/${namespace === "" ? "" : `${namespace}/`}${name} of tenant ${tenant}`;

export class Sealing {
  readonly #log: Log;
  readonly #timing: KmsTiming | undefined;
  #rules: Rules;

  /** Without rules nothing is sealed, and what is sealed cannot be read. */
  constructor(specs: readonly ResourceSpec[], log: Log, timing?: KmsTiming) {
    this.#log = log;
    this.#timing = timing;
    this.#rules = new Rules(specs, log, timing);
  }

  /** From the next write on; what is in flight ends by the rules that it began with. */
  replace(specs: readonly ResourceSpec[]): void {
    const before = this.#rules;
    this.#rules = new Rules(specs, this.#log, this.#timing);
    before.close();
  }

  /** Why something cannot be sealed now; undefined when all can. */
  trouble(): string | undefined {
    for (const provider of this.#rules.writers()) {
      const why = provider.trouble?.();
      if (why !== undefined) return why;
    }
    return undefined;
  }

  /** Whether writing the object again, as it is, would change how it is stored. */
  isStale({ key, sealedBy }: StoredObject): boolean {
    return (this.#rules.providers(key.resource)[0]?.current ?? "") !== (sealedBy ?? "");
  }

  seals(resource: string): boolean {
    return this.#rules.providers(resource)[0] !== identity;
  }

  /** Throws StatusError 503 when the key is out of reach. */
  async seal(key: Key, object: NewDocument): Promise<NewDocument> {
    const provider = this.#rules.providers(key.resource)[0] ?? identity;
    if (provider === identity) return object;
    try {
      await provider.ready?.();
      const text = (plain: string, part: string) =>
        provider.prefix + provider.seal(Buffer.from(plain), whereOf(key, part)).toString("base64");
      const { document, labels, fields } = object;
      const index = text(JSON.stringify({ labels, fields }), "index");
      return { ...object, document: text(document, "document"), labels: { [SEALED_LABELS]: index }, fields: {} };
    } catch (error) {
      throw unavailable(`${keyText(key)} cannot be encrypted: ${messageOf(error)}`);
    }
  }

  /** What must be waited for before `open` works; undefined when nothing. */
  ready({ key, document }: StoredObject): Promise<void> | undefined {
    if (!isSealed(document)) return undefined;
    const provider = this.#rules.opener(key.resource, document);
    return provider?.ready?.(bytesOf(provider, document));
  }

  /** Throws StatusError 500 that names the object and never its content. */
  open(object: StoredObject): StoredObject {
    const { key, document, labels, fields } = object;
    if (!isSealed(document)) return object;
    const provider = this.#rules.opener(key.resource, document);
    const opened = this.#openText(key, document, "document");
    const index = this.openIndex(key, { labels, fields });
    const sealedBy = provider?.madeBy?.(bytesOf(provider, document)) ?? provider?.prefix ?? "";
    return { ...object, document: opened, ...index, sealedBy };
  }

  openIndex(key: Key, index: { labels: Strings; fields: Strings }): { labels: Strings; fields: Strings } {
    const sealed = index.labels[SEALED_LABELS];
    if (sealed === undefined || !isSealed(sealed)) return index;
    return JSON.parse(this.#openText(key, sealed, "index")) as { labels: Strings; fields: Strings };
  }

  /** The sealed text of an index, for `ready`. */
  indexReady(key: Key, labels: Strings): Promise<void> | undefined {
    const sealed = labels[SEALED_LABELS];
    const provider = sealed === undefined ? undefined : this.#rules.opener(key.resource, sealed);
    return provider && sealed !== undefined ? provider.ready?.(bytesOf(provider, sealed)) : undefined;
  }

  #openText(key: Key, text: string, part: string): string {
    const provider = this.#rules.opener(key.resource, text);
    const by = text.slice(0, text.lastIndexOf(":"));
    if (!provider) throw internal(`${keyText(key)} cannot be decrypted: no key of the configuration is ${by}`);
    try {
      return provider.open(bytesOf(provider, text), whereOf(key, part)).toString("utf8");
    } catch (error) {
      throw internal(`${keyText(key)} cannot be decrypted by ${by}: ${messageOf(error)}`);
    }
  }

  close(): void {
    this.#rules.close();
  }
}

const bytesOf = (provider: Provider, text: string): Buffer => Buffer.from(text.slice(provider.prefix.length), "base64");
