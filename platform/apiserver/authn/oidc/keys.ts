/** An issuer's public keys: found by discovery (OpenID Connect Discovery 1.0), read anew when a token names a key that is not among them. */
import { createPublicKey, type KeyObject, type webcrypto } from "node:crypto";
import { askOnce, type Remote } from "../../webhook/remote.ts";
import type { JwtConfiguration } from "./configuration.ts";

export interface IssuerKey {
  id: string | undefined;
  algorithm: string | undefined;
  key: KeyObject;
}

const TIMEOUT_MS = 30_000;
const KEYS_MAX = 256;
/** An unknown key id is no reason to ask the issuer more often than this. */
const REFRESH_MS_MIN = 1_000;
const WELL_KNOWN = "/.well-known/openid-configuration";

export class IssuerKeys {
  readonly #issuer: JwtConfiguration["issuer"];
  #location: string | undefined;
  #keys: IssuerKey[] = [];
  #readAt = Number.NEGATIVE_INFINITY;
  #reading: Promise<void> | undefined;

  constructor(issuer: JwtConfiguration["issuer"]) {
    this.#issuer = issuer;
  }

  get known(): readonly IssuerKey[] {
    return this.#keys;
  }

  /** The keys as they are now, unless they were read a moment ago. Throws Error when the issuer cannot be asked. */
  async refresh(): Promise<readonly IssuerKey[]> {
    if (performance.now() - this.#readAt < REFRESH_MS_MIN) return this.#keys;
    this.#reading ??= this.#read().finally(() => {
      this.#reading = undefined;
      this.#readAt = performance.now();
    });
    await this.#reading;
    return this.#keys;
  }

  #get(url: string): Promise<unknown> {
    const ca = this.#issuer.certificateAuthority;
    const remote: Remote = { url, ...(ca ? { ca } : {}) };
    return askOnce(remote, { method: "GET", timeoutMs: TIMEOUT_MS });
  }

  async #read(): Promise<void> {
    this.#location ??= await this.#discover();
    const set = (await this.#get(this.#location)) as {
      keys?: (webcrypto.JsonWebKey & { kid?: string; alg?: string; use?: string })[];
    };
    if (!Array.isArray(set.keys)) throw new Error("the issuer's key set has no keys");
    this.#keys = set.keys.slice(0, KEYS_MAX).flatMap((jwk) => {
      if (jwk.use !== undefined && jwk.use !== "sig") return [];
      try {
        return [{ id: jwk.kid, algorithm: jwk.alg, key: createPublicKey({ key: jwk, format: "jwk" }) }];
      } catch {
        // A kind of key that signs no token we take.
        return [];
      }
    });
  }

  async #discover(): Promise<string> {
    const { url, discoveryURL } = this.#issuer;
    const found = (await this.#get(discoveryURL || url.replace(/\/$/, "") + WELL_KNOWN)) as {
      issuer?: string;
      jwks_uri?: string;
    };
    if (found.issuer !== url) throw new Error(`issuer did not match the issuer returned by provider, expected ${url}`);
    if (!found.jwks_uri?.startsWith("https:")) throw new Error("provider did not return JWKS URL");
    return found.jwks_uri;
  }
}
