/** JSON over HTTPS to a server that a file of the operator names: issuers of tokens, webhooks that authenticate and authorize. */
import { Agent as HttpAgent, request as httpRequest } from "node:http";
import { Agent as HttpsAgent, request as httpsRequest } from "node:https";
import { delay } from "#platform/base/clock.ts";
import type { Json } from "#sdk/api/object.ts";

/** PEM texts; a kubeconfig's cluster and user. */
export interface Remote {
  url: string;
  ca?: string;
  cert?: string;
  key?: string;
  token?: string;
}

export interface Ask {
  method: "GET" | "POST";
  body?: Json;
  timeoutMs: number;
}

/** Connections are kept for the next question; idle ones keep no process alive. */
const KEPT = { keepAlive: true, maxSockets: 32, maxFreeSockets: 8, timeout: 60_000 };
const [plainAgent, secureAgent] = [new HttpAgent(KEPT), new HttpsAgent(KEPT)];
const BYTES_MAX = 4 * 1024 * 1024;
const ATTEMPTS = 5;
const BACKOFF_MS = 500;
const GROWTH = 1.5;

/** What may be over when it is asked again: no answer, or an answer that says so. */
export class Unanswered extends Error {}

/** The parsed answer. Throws Error; Unanswered where asking again may help. */
export function askOnce(remote: Remote, { method, body, timeoutMs }: Ask): Promise<unknown> {
  const { promise, resolve, reject } = Promise.withResolvers<unknown>();
  const text = body === undefined ? undefined : JSON.stringify(body);
  const { url, ca, cert, key, token } = remote;
  const [send, agent] = url.startsWith("http:") ? [httpRequest, plainAgent] : [httpsRequest, secureAgent];
  const outgoing = send(
    url,
    {
      method,
      agent,
      signal: AbortSignal.timeout(timeoutMs),
      headers: {
        accept: "application/json, */*",
        ...(text === undefined
          ? {}
          : { "content-type": "application/json", "content-length": Buffer.byteLength(text) }),
        ...(token ? { authorization: `Bearer ${token}` } : {}),
      },
      ...(ca ? { ca } : {}),
      ...(cert && key ? { cert, key } : {}),
    },
    (response) => {
      const chunks: Buffer[] = [];
      let bytes = 0;
      response.on("data", (chunk: Buffer) => {
        bytes += chunk.length;
        chunks.push(chunk);
        if (bytes > BYTES_MAX) outgoing.destroy(new Error("the answer is too large"));
      });
      response.on("error", reject);
      response.on("end", () => {
        const code = response.statusCode ?? 0;
        if (code < 200 || code > 299)
          reject(new (code === 429 || code >= 500 ? Unanswered : Error)(`${shown(url)} answered ${code}`));
        else {
          try {
            resolve(JSON.parse(Buffer.concat(chunks).toString("utf8")));
          } catch {
            reject(new Error(`${shown(url)} answered what is not JSON`));
          }
        }
      });
    },
  );
  outgoing.on("error", (error) => reject(new Unanswered(`${shown(url)}: ${error.message}`)));
  outgoing.end(text);
  return promise;
}

/** Asks again a few times where that may help, as upstream's webhooks do. */
export async function ask(remote: Remote, what: Ask, backoffMs = BACKOFF_MS): Promise<unknown> {
  for (let attempt = 1, wait = backoffMs; ; attempt++, wait *= GROWTH) {
    try {
      return await askOnce(remote, what);
    } catch (error) {
      if (!(error instanceof Unanswered) || attempt >= ATTEMPTS) throw error;
      await delay(wait);
    }
  }
}

/** Without a query: that may hold what nobody should read in a log. */
const shown = (url: string): string => url.split("?")[0] ?? "";
