/** Requests as a hostile or careless client would send them: any bytes, any headers, as the admin of an instance. */
import { Agent, request } from "node:https";
import type { Status } from "#sdk/api/status.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";

export interface RawAnswer {
  code: number;
  status: Status;
  text: string;
  /** The whole Warning header; "" where there is none. */
  warning: string;
}

export interface RawApi {
  /** Rejects when no answer comes within 30 s. */
  send(method: string, path: string, body?: string | Buffer, headers?: Record<string, string>): Promise<RawAnswer>;
  close(): void;
}

const parsed = (text: string): Status => {
  try {
    return JSON.parse(text) as Status;
  } catch {
    return {} as Status;
  }
};

/** `server` instead of the kubeconfig's own. */
export function rawApi(kubeconfig: string, server = loadKubeconfig(kubeconfig).server): RawApi {
  const { ca, cert, key } = loadKubeconfig(kubeconfig);
  const agent = new Agent({ ca, cert, key, keepAlive: true });
  return {
    send: (method, path, body, headers = {}) =>
      new Promise((answered, failed) => {
        const sent = request(
          `${server}${path}`,
          { method, agent, timeout: 30_000, headers: { "content-type": "application/json", ...headers } },
          (response) => {
            const chunks: Buffer[] = [];
            response.on("data", (chunk: Buffer) => void chunks.push(chunk));
            response.on("error", failed);
            response.on("end", () => {
              const text = Buffer.concat(chunks).toString("utf8");
              const warning = response.headersDistinct["warning"]?.join(", ") ?? "";
              answered({ code: response.statusCode ?? 0, status: parsed(text), text, warning });
            });
          },
        );
        sent.on("timeout", () => sent.destroy(new Error(`no answer to ${method} ${path}`)));
        sent.on("error", failed);
        sent.end(body);
      }),
    close: () => agent.destroy(),
  };
}
