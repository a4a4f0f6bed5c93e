/**
 * The provider `kms` (KMS v2, KEP-3299): a plugin on a unix socket keeps the key; it encrypts a seed that this process made, and each object is
 * sealed by AES-256-GCM with a key derived from the seed. The plugin is asked for its key id each minute: another id means another seed.
 * While it does not answer, the seed at hand seals for three more minutes; what was opened once opens on.
 */
import { createHmac, hash, randomBytes, randomUUID } from "node:crypto";
import { Client, credentials } from "@grpc/grpc-js";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { ProviderSpec } from "./configuration.ts";
import { openGcm, type Provider, SEALED, sealGcm } from "./providers.ts";
import { bytesOf, decode, encode, entriesOf, numberOf, textOf, type Value } from "./wire.ts";

export interface KmsTiming {
  healthyMs: number;
  unhealthyMs: number;
  /** How long a seed seals after the plugin was last well. */
  seedMs: number;
}

/** Upstream's. */
const TIMING: KmsTiming = { healthyMs: 60_000, unhealthyMs: 10_000, seedMs: 180_000 };
const SEED_BYTES = 32;
const INFO_BYTES = 32;
const SEEDS_MAX = 1_000;
const KEY_ID_BYTES_MAX = 1_024;
const CIPHERTEXT_BYTES_MAX = 1_024;
const ANNOTATIONS_BYTES_MAX = 32 * 1_024;
/** EncryptedDEKSourceType: the source is a key of AES-GCM, or a seed of keys. */
const DERIVED = 1;

interface Seed {
  keyId: string;
  encrypted: Buffer;
  annotations: Buffer[];
  secret: Buffer;
  /** By the monotonic clock. */
  until: number;
}

/** HKDF's expansion (RFC 5869, 2.3) to one block of SHA-256. */
const derived = (seed: Buffer, info: Buffer): Buffer =>
  createHmac("sha256", seed)
    .update(info)
    .update(Buffer.from([1]))
    .digest();

type Spec = Extract<ProviderSpec, { kind: "kms" }>;

/** The three calls of v2.KeyManagementService. */
class Service {
  readonly #client: Client;
  readonly #timeoutMs: number;

  constructor({ socket, timeoutMs }: Spec) {
    const address = socket.startsWith("@") ? `unix-abstract:${socket.slice(1)}` : `unix:${socket}`;
    this.#client = new Client(address, credentials.createInsecure(), {
      "grpc.initial_reconnect_backoff_ms": 100,
      "grpc.max_reconnect_backoff_ms": 2_000,
    });
    this.#timeoutMs = timeoutMs;
  }

  call(method: "Status" | "Encrypt" | "Decrypt", fields: (readonly [number, Value])[]): Promise<Buffer> {
    const path = `/v2.KeyManagementService/${method}`;
    const plain = (bytes: Buffer) => bytes;
    return new Promise((resolve, reject) => {
      const deadline = { deadline: Date.now() + this.#timeoutMs };
      this.#client.makeUnaryRequest(path, plain, plain, encode(fields), deadline, (error, answer) => {
        if (error) reject(new Error(`the KMS plugin failed: ${error.details || error.message}`));
        else resolve(answer ?? Buffer.alloc(0));
      });
    });
  }

  async status(): Promise<string> {
    const answer = decode(await this.call("Status", []));
    const [version, healthz, keyId] = [textOf(answer, 1), textOf(answer, 2), textOf(answer, 3)];
    if (version !== "v2" && version !== "v2beta1")
      throw new Error(`the KMS plugin speaks ${version || "no version"}, not v2`);
    if (healthz !== "ok") throw new Error(`the KMS plugin is not well: ${healthz}`);
    checkKeyId(keyId);
    return keyId;
  }

  close(): void {
    this.#client.close();
  }
}

function checkKeyId(keyId: string): void {
  if (keyId === "" || Buffer.byteLength(keyId) > KEY_ID_BYTES_MAX)
    throw new Error("the KMS plugin's key id is empty or too long");
}

export function kmsProvider(spec: Spec, log: Log, timing: KmsTiming = TIMING): Provider {
  const kms = new Kms(spec, log, timing);
  const prefix = `${SEALED}kms:v2:${spec.name}:`;
  return {
    prefix,
    get current() {
      return prefix + kms.keyId;
    },
    seal: (plain, where) => kms.seal(plain, where),
    open: (sealed, where) => kms.open(sealed, where),
    ready: (sealed) => kms.ready(sealed),
    madeBy: (sealed) => prefix + textOf(decode(sealed), 2),
    trouble: () => kms.trouble(),
    close: () => kms.close(),
  };
}

class Kms {
  readonly #spec: Spec;
  readonly #log: Log;
  readonly #timing: KmsTiming;
  readonly #service: Service;
  /** By the encrypted seed's digest; the oldest is forgotten. */
  readonly #seeds = new Map<string, Buffer>();
  readonly #decrypting = new Map<string, Promise<void>>();
  #seed: Seed | undefined;
  #failure: string | undefined;
  #probing: Promise<void> | undefined;
  #timer: NodeJS.Timeout | undefined;
  #closed = false;

  constructor(spec: Spec, log: Log, timing: KmsTiming) {
    this.#spec = spec;
    this.#log = log;
    this.#timing = timing;
    this.#service = new Service(spec);
    void this.#probe();
  }

  get keyId(): string {
    return this.#seed?.keyId ?? "";
  }

  /** Never rejects; one at a time. */
  #probe(): Promise<void> {
    this.#probing ??= this.#look().finally(() => {
      this.#probing = undefined;
      if (this.#closed) return;
      const { healthyMs, unhealthyMs } = this.#timing;
      clearTimeout(this.#timer);
      this.#timer = setTimeout(() => void this.#probe(), this.#failure === undefined ? healthyMs : unhealthyMs);
      this.#timer.unref();
    });
    return this.#probing;
  }

  async #look(): Promise<void> {
    const { name } = this.#spec;
    try {
      const until = performance.now() + this.#timing.seedMs;
      const keyId = await this.#service.status();
      if (this.#seed?.keyId === keyId) this.#seed.until = until;
      else {
        const seed = await this.#newSeed(until);
        if (seed.keyId !== keyId) throw new Error("the KMS plugin encrypts by another key than it says");
        this.#seed = seed;
        this.#log.info("a new seed encrypts what is stored", { provider: name, keyIdHash: shortHash(keyId) });
      }
      this.#failure = undefined;
    } catch (error) {
      this.#failure = messageOf(error);
      if (!this.#closed) this.#log.error("the KMS plugin cannot be used", { provider: name, error: this.#failure });
    }
  }

  async #newSeed(until: number): Promise<Seed> {
    const secret = randomBytes(SEED_BYTES);
    const answer = decode(
      await this.#service.call("Encrypt", [
        [1, secret],
        [2, randomUUID()],
      ]),
    );
    const seed = {
      encrypted: bytesOf(answer, 1),
      keyId: textOf(answer, 2),
      annotations: entriesOf(answer, 3),
      secret,
      until,
    };
    checkKeyId(seed.keyId);
    if (seed.encrypted.length === 0 || seed.encrypted.length > CIPHERTEXT_BYTES_MAX)
      throw new Error("the KMS plugin's ciphertext is empty or too long");
    if (seed.annotations.reduce((sum, entry) => sum + entry.length, 0) > ANNOTATIONS_BYTES_MAX)
      throw new Error("the KMS plugin's annotations are too long");
    this.#remember(seedName(encodeSealed(seed, Buffer.alloc(0))), secret);
    return seed;
  }

  #remember(name: string, secret: Buffer): void {
    if (this.#seeds.size >= SEEDS_MAX) for (const oldest of this.#seeds.keys()) if (this.#seeds.delete(oldest)) break;
    this.#seeds.set(name, secret);
  }

  trouble(): string | undefined {
    if (this.#seed && performance.now() < this.#seed.until) return undefined;
    return `KMS provider ${this.#spec.name}: ${this.#failure ?? "is not ready yet"}`;
  }

  ready(sealed?: Buffer): Promise<void> | undefined {
    if (!sealed) return this.trouble() === undefined ? undefined : this.#probe();
    const name = seedName(sealed);
    if (this.#seeds.has(name)) return undefined;
    const asked = this.#decrypting.get(name);
    if (asked) return asked;
    const asking = this.#decrypt(name, sealed).finally(() => this.#decrypting.delete(name));
    this.#decrypting.set(name, asking);
    return asking;
  }

  async #decrypt(name: string, sealed: Buffer): Promise<void> {
    const fields = decode(sealed);
    const annotations = entriesOf(fields, 4).map((entry) => [4, entry] as const);
    const answer = await this.#service.call("Decrypt", [
      [1, bytesOf(fields, 3)],
      [2, randomUUID()],
      [3, textOf(fields, 2)],
      ...annotations,
    ]);
    this.#remember(name, bytesOf(decode(answer), 1));
  }

  seal(plain: Buffer, where: Buffer): Buffer {
    const why = this.trouble();
    if (why !== undefined || !this.#seed) throw new Error(why);
    const info = randomBytes(INFO_BYTES);
    const data = Buffer.concat([info, sealGcm(derived(this.#seed.secret, info), plain, where)]);
    return encodeSealed(this.#seed, data);
  }

  open(sealed: Buffer, where: Buffer): Buffer {
    const fields = decode(sealed);
    const secret = this.#seeds.get(seedName(sealed));
    if (!secret) throw new Error("its seed has not been decrypted");
    const data = bytesOf(fields, 1);
    if (numberOf(fields, 5) !== DERIVED) return openGcm(secret, data, where);
    return openGcm(derived(secret, data.subarray(0, INFO_BYTES)), data.subarray(INFO_BYTES), where);
  }

  close(): void {
    this.#closed = true;
    clearTimeout(this.#timer);
    this.#service.close();
  }
}

/** Upstream's message EncryptedObject. */
function encodeSealed({ keyId, encrypted, annotations }: Omit<Seed, "secret" | "until">, data: Buffer): Buffer {
  return encode([
    [1, data],
    [2, keyId],
    [3, encrypted],
    ...annotations.map((entry) => [4, entry] as const),
    [5, DERIVED],
  ]);
}

function seedName(sealed: Buffer): string {
  const fields = decode(sealed);
  const parts = [textOf(fields, 2), bytesOf(fields, 3).toString("base64")];
  return hash("sha256", JSON.stringify([...parts, ...entriesOf(fields, 4).map((e) => e.toString("base64"))]));
}

/** Key ids may be addresses of keys: logs show what tells them apart and no more. */
const shortHash = (keyId: string): string => hash("sha256", keyId).slice(0, 16);
