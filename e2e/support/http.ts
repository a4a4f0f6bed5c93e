/** The plainest client there is: one request, its answer, a limit in time. No retry: what happened is what is recorded. */
import type { IncomingMessage } from "node:http";
import { Agent, type RequestOptions, request } from "node:https";

export interface Credentials {
  /** Unset with `rejectUnauthorized: false`: the server's certificate is not checked. */
  ca?: string;
  rejectUnauthorized?: boolean;
  cert: string;
  key: string;
}

export interface Answer {
  code: number;
  body: unknown;
}

export class HttpClient {
  readonly #agent: Agent;

  constructor(credentials: Credentials) {
    this.#agent = new Agent({ ...credentials, keepAlive: true, maxSockets: 256 });
  }

  /** Rejects when the connection is lost, refused or silent for `timeoutMs`: then nobody knows what became of a write. */
  send(
    method: string,
    url: string,
    body?: unknown,
    type = "application/json",
    timeoutMs = 6_000,
    accept = "application/json",
  ): Promise<Answer> {
    const { promise, resolve, reject } = Promise.withResolvers<Answer>();
    const text = body === undefined ? undefined : JSON.stringify(body);
    // Node does not say the length of a DELETE's body by itself; the server would take the body for the next request.
    const length = text === undefined ? {} : { "content-length": Buffer.byteLength(text) };
    const headers = { "content-type": type, accept, ...length };
    const options: RequestOptions = { method, agent: this.#agent, headers };
    const sent = request(url, options, (response) => {
      const chunks: Buffer[] = [];
      response.on("data", (chunk: Buffer) => chunks.push(chunk));
      response.on("error", reject);
      response.on("aborted", () => reject(new Error("the answer was cut short")));
      response.on("end", () => {
        clearTimeout(timer);
        try {
          resolve({ code: response.statusCode ?? 0, body: JSON.parse(Buffer.concat(chunks).toString()) });
        } catch (error) {
          reject(error);
        }
      });
    });
    const timer = setTimeout(() => sent.destroy(new Error("no answer in time")), timeoutMs);
    sent.on("error", (error) => {
      clearTimeout(timer);
      reject(error);
    });
    sent.end(text);
    return promise;
  }

  /** The lines of a watch, until it ends or the signal aborts; a refusal is thrown as its Status. */
  async *lines(url: string, signal: AbortSignal): AsyncGenerator<string> {
    const { promise, resolve, reject } = Promise.withResolvers<IncomingMessage>();
    const sent = request(url, { agent: this.#agent, signal, headers: { accept: "application/json" } }, resolve);
    const connect = setTimeout(() => sent.destroy(new Error("no answer in time")), 6_000);
    sent.on("error", reject);
    sent.end();
    const response = await promise.finally(() => clearTimeout(connect));
    response.setEncoding("utf8");
    let rest = "";
    for await (const chunk of response as AsyncIterable<string>) {
      const parts = (rest + chunk).split("\n");
      rest = parts.pop() ?? "";
      yield* parts.filter((line) => line !== "");
    }
  }

  close(): void {
    this.#agent.destroy();
  }
}
