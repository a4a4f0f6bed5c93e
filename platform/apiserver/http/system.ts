/** Paths that are not resources: health, metrics, version, discovery, OpenAPI, and the token issuer's documents. */

import { StatusError } from "#sdk/api/status.ts";
import type { Exchange } from "./exchange.ts";
import { answer } from "./exchange.ts";
import type { Metrics } from "./metrics.ts";
import { negotiate } from "./negotiate.ts";
import { methodNotAllowed, PageNotFound } from "./refusals.ts";
import { sendText } from "./respond.ts";

/** A document with its own headers (discovery, OpenAPI); `body` is "" for 304. */
export interface SystemDocument {
  code: number;
  headers: Record<string, string>;
  body: string | Buffer;
}

export interface HealthCheck {
  name: string;
  /** Throws with the reason when not healthy. */
  check(): Promise<void>;
}

export interface SystemParts {
  metrics: Metrics;
  /** Samples beside the request metrics: name and labels, value. */
  samples(): ReadonlyMap<string, number>;
  /** Further metrics in the text exposition format. */
  exposition?(): string;
  /** What /livez asks; /readyz and /healthz ask these and `readiness`. */
  liveness: readonly HealthCheck[];
  readiness: readonly HealthCheck[];
  /** Discovery and OpenAPI: undefined when the path is none of theirs. */
  documents(exchange: Exchange): SystemDocument | undefined;
  /** Parsed JSON by path (/version, /.well-known/openid-configuration, /openid/v1/jwks). */
  fixed: Readonly<Record<string, { type?: string; body(exchange: Exchange): unknown }>>;
}

/** Upstream's root listing is what may be asked for; only the fixed part is told. */
const HEALTH = /^\/(healthz|livez|readyz)(?:\/([a-z0-9-]+(?:\/[a-z0-9-]+)*))?$/;

export async function serveSystem(exchange: Exchange, parts: SystemParts): Promise<void> {
  const { path } = exchange.info;
  if (exchange.method !== "GET" && exchange.method !== "HEAD") {
    throw methodNotAllowed();
  }
  const health = HEALTH.exec(path);
  if (health) return await serveHealth(exchange, parts, health[1] ?? "", health[2]);
  if (path === "/metrics")
    return sendText(
      exchange.response,
      200,
      parts.metrics.text(parts.samples()) + (parts.exposition?.() ?? ""),
      "text/plain; version=0.0.4; charset=utf-8",
    );
  const fixed = parts.fixed[path];
  if (fixed) {
    if (fixed.type) return sendText(exchange.response, 200, JSON.stringify(fixed.body(exchange)), fixed.type);
    const accepted = negotiate(exchange.request.headers.accept);
    return await answer(exchange, 200, JSON.stringify(fixed.body(exchange)), accepted);
  }
  const document = parts.documents(exchange);
  if (!document && path.startsWith("/version/"))
    throw new StatusError(404, "NotFound", "the server could not find the requested resource", {});
  if (!document) throw new PageNotFound();
  for (const [name, value] of Object.entries(document.headers)) exchange.response.setHeader(name, value);
  const type = document.headers["content-type"];
  if (type !== undefined && document.code === 200)
    return await answer(exchange, 200, document.body, { encoding: "json" });
  exchange.response.statusCode = document.code;
  exchange.response.end(document.body);
}

async function serveHealth(
  exchange: Exchange,
  parts: SystemParts,
  endpoint: string,
  only: string | undefined,
): Promise<void> {
  const all = endpoint === "livez" ? parts.liveness : [...parts.liveness, ...parts.readiness];
  const excluded = new Set(exchange.query.getAll("exclude"));
  const checks = only === undefined ? all : all.filter((c) => c.name === only);
  if (checks.length === 0 && only !== undefined)
    throw new StatusError(404, "NotFound", "the server could not find the requested resource", {});
  const lines: string[] = [];
  let failed = false;
  for (const { name, check } of checks) {
    if (excluded.delete(name)) {
      lines.push(`[+]${name} excluded: ok`);
      continue;
    }
    try {
      await check();
      lines.push(`[+]${name} ok`);
    } catch (error) {
      failed = true;
      // This path answers everybody: a reason that was worded for the API's users, or none.
      lines.push(`[-]${name} failed: ${error instanceof StatusError ? error.message : "reason withheld"}`);
    }
  }
  if (excluded.size > 0) {
    const names = [...excluded].map((name) => JSON.stringify(name)).join(", ");
    lines.push(`warn: some health checks cannot be excluded: no matches for ${names}`);
  }
  if (failed) return sendText(exchange.response, 500, `${lines.join("\n")}\n${endpoint} check failed\n`);
  const verbose = exchange.query.has("verbose");
  sendText(exchange.response, 200, verbose ? `${lines.join("\n")}\n${endpoint} check passed\n` : "ok");
}
