/**
 * A client of OCI registries (distribution spec 1.1): manifests and blobs, pulled by digest and checked, pushed when they lack. Plain HTTP to
 * loopback addresses only, as all clients of registries have it. Credentials by Basic or by the token service that the registry names.
 */
import { request as plainRequest } from "node:http";
import { request as tlsRequest } from "node:https";
import { isIP, type LookupFunction } from "node:net";
import { MANIFEST_BYTES_MAX, OCI_MANIFEST, type Packed } from "./artifact.ts";
import { digestOf, verified } from "./digest.ts";
import type { Reference } from "./reference.ts";

export interface RegistryOptions {
  /** Left out: anonymous. */
  credentials?: { username: string; password: string };
  /** Resolves names, and refuses those that must not be dialled. Set: numbers and loopback names are refused too. */
  lookup?: LookupFunction;
  timeoutMs?: number;
}

interface Answer {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
}

const TIMEOUT_MS = 60_000;
const ERROR_CHARACTERS_MAX = 300;

const isLoopback = (host: string): boolean => /^(localhost|127\.\d+\.\d+\.\d+|\[::1\])(:\d+)?$/.test(host);

export class Registry {
  readonly #host: string;
  readonly #repository: string;
  readonly #o: RegistryOptions;
  #authorization: string | undefined;

  constructor({ host, repository }: Pick<Reference, "host" | "repository">, options: RegistryOptions = {}) {
    if (options.lookup && (isLoopback(host) || isIP(host.replace(/:\d+$/, "").replace(/^\[|\]$/g, "")) !== 0))
      throw new Error(`the registry ${host} must be named, and not be this machine`);
    this.#host = host;
    this.#repository = repository;
    this.#o = options;
  }

  /** A manifest by tag or digest, of these media types; undefined: there is none. Checked where a digest was given. */
  async manifest(tagOrDigest: string, accept: string = OCI_MANIFEST): Promise<Uint8Array | undefined> {
    const answer = await this.#send("GET", `manifests/${tagOrDigest}`, { accept }, undefined, MANIFEST_BYTES_MAX);
    if (answer.status === 404) return undefined;
    this.#expect(answer, [200], `manifest ${tagOrDigest}`);
    return tagOrDigest.startsWith("sha256:")
      ? verified(answer.body, tagOrDigest, `manifest ${tagOrDigest}`)
      : answer.body;
  }

  /** At most `bytesMax`; checked. */
  async blob(digest: string, bytesMax: number): Promise<Uint8Array> {
    const answer = await this.#send("GET", `blobs/${digest}`, {}, undefined, bytesMax);
    this.#expect(answer, [200], `blob ${digest}`);
    return verified(answer.body, digest, `blob ${digest}`);
  }

  /** Everything of it that lacks, then the manifest; `tag` as well as by its digest. */
  async push(packed: Packed, tag: string): Promise<void> {
    for (const { descriptor, bytes } of packed.blobs) await this.#pushBlob(descriptor.digest, bytes);
    const digest = digestOf(packed.manifest);
    const answer = await this.#send(
      "PUT",
      `manifests/${tag || digest}`,
      { "content-type": OCI_MANIFEST },
      packed.manifest,
    );
    this.#expect(answer, [201, 202], `manifest ${tag || digest}`);
  }

  async #pushBlob(digest: string, bytes: Uint8Array): Promise<void> {
    if ((await this.#send("HEAD", `blobs/${digest}`)).status === 200) return;
    const started = await this.#send("POST", "blobs/uploads/");
    this.#expect(started, [202], "an upload");
    const location = new URL(String(started.headers["location"] ?? ""), this.#base());
    // An upload is never sent elsewhere: its address carries what authorizes it.
    if (location.host !== new URL(this.#base()).host) throw new Error(`the registry sends uploads to ${location.host}`);
    location.searchParams.set("digest", digest);
    const headers = { "content-type": "application/octet-stream" };
    this.#expect(await this.#send("PUT", location, headers, bytes), [201, 204], `blob ${digest}`);
  }

  #base(): string {
    return `${isLoopback(this.#host) ? "http" : "https"}://${this.#host}/v2/${this.#repository}/`;
  }

  #expect(answer: Answer, statuses: readonly number[], what: string): void {
    if (statuses.includes(answer.status)) return;
    const said = answer.body.toString("utf8").slice(0, ERROR_CHARACTERS_MAX).trim();
    throw new Error(
      `the registry ${this.#host} answered ${answer.status} for ${what} of ${this.#repository}${said && `: ${said}`}`,
    );
  }

  async #send(
    method: string,
    path: string | URL,
    headers: Record<string, string> = {},
    body?: Uint8Array,
    bytesMax: number = MANIFEST_BYTES_MAX,
  ): Promise<Answer> {
    const url = typeof path === "string" ? new URL(path, this.#base()) : path;
    const once = () =>
      this.#request(
        method,
        url,
        { ...headers, ...(this.#authorization ? { authorization: this.#authorization } : {}) },
        body,
        bytesMax,
      );
    let answer = await once();
    if (answer.status === 401 && (await this.#authorize(String(answer.headers["www-authenticate"] ?? ""))))
      answer = await once();
    // Blobs may lie elsewhere; their digest is checked, and nobody else is shown the credentials.
    if ([301, 302, 307, 308].includes(answer.status) && method === "GET") {
      const target = new URL(String(answer.headers["location"] ?? ""), url);
      if (target.protocol !== url.protocol) throw new Error(`the registry sends to ${target.origin}`);
      const own = target.host === url.host;
      return await this.#request(
        "GET",
        target,
        own && this.#authorization ? { authorization: this.#authorization } : {},
        undefined,
        bytesMax,
      );
    }
    return answer;
  }

  /** What the challenge asks for; false: nothing can be done. */
  async #authorize(challenge: string): Promise<boolean> {
    const { credentials } = this.#o;
    const basic =
      credentials && `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString("base64")}`;
    if (/^basic/i.test(challenge)) {
      if (!basic || this.#authorization === basic) return false;
      this.#authorization = basic;
      return true;
    }
    const parameters = Object.fromEntries(
      [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map(([, name, value]) => [name, value]),
    );
    if (!/^bearer/i.test(challenge) || !parameters["realm"] || this.#authorization?.startsWith("Bearer")) return false;
    const url = new URL(parameters["realm"]);
    if (url.protocol !== "https:" && !isLoopback(url.host))
      throw new Error(`the token service ${url.origin} has no TLS`);
    for (const name of ["service", "scope"]) if (parameters[name]) url.searchParams.set(name, parameters[name]);
    const answer = await this.#request(
      "GET",
      url,
      basic ? { authorization: basic } : {},
      undefined,
      MANIFEST_BYTES_MAX,
    );
    if (answer.status !== 200) return false;
    const { token, access_token } = JSON.parse(answer.body.toString("utf8")) as {
      token?: string;
      access_token?: string;
    };
    this.#authorization = `Bearer ${token ?? access_token ?? ""}`;
    return true;
  }

  #request(
    method: string,
    url: URL,
    headers: Record<string, string>,
    body: Uint8Array | undefined,
    bytesMax: number,
  ): Promise<Answer> {
    const { lookup, timeoutMs = TIMEOUT_MS } = this.#o;
    return new Promise((resolve, reject) => {
      const make = url.protocol === "https:" ? tlsRequest : plainRequest;
      const length = body
        ? { "content-length": String(body.length) }
        : method === "POST"
          ? { "content-length": "0" }
          : {};
      const sent = make(url, { method, headers: { ...headers, ...length }, ...(lookup ? { lookup } : {}) });
      const late = setTimeout(() => fail(`did not answer within ${timeoutMs} ms`), timeoutMs);
      const fail = (why: string) => {
        clearTimeout(late);
        reject(new Error(`the registry ${url.host}: ${why}`));
        sent.destroy();
      };
      sent.on("error", (error) => fail(error.message));
      sent.on("response", (response) => {
        const chunks: Buffer[] = [];
        let size = 0;
        response.on("data", (chunk: Buffer) => {
          size += chunk.length;
          if (size > bytesMax) fail(`${url.pathname} is larger than ${bytesMax} bytes`);
          else chunks.push(chunk);
        });
        response.on("error", (error) => fail(error.message));
        response.on("end", () => {
          clearTimeout(late);
          resolve({ status: response.statusCode ?? 0, headers: response.headers, body: Buffer.concat(chunks) });
        });
      });
      sent.end(body);
    });
  }
}
