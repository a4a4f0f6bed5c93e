/** What keeps other sites, and injected text, from acting in the user's name. */
import type { IncomingMessage } from "node:http";

export const SESSION_COOKIE = "capstan_session";

/** No script, style, font or connection but our own; shown in no frame; nothing told to other sites. */
export const SECURITY_HEADERS: Readonly<Record<string, string>> = {
  "content-security-policy": [
    "default-src 'none'",
    "script-src 'self'",
    "style-src 'self'",
    "img-src 'self' data:",
    "connect-src 'self'",
    "manifest-src 'self'",
    "base-uri 'none'",
    "form-action 'none'",
    "frame-ancestors 'none'",
  ].join("; "),
  "x-content-type-options": "nosniff",
  "referrer-policy": "no-referrer",
  "cross-origin-opener-policy": "same-origin",
  "cross-origin-resource-policy": "same-origin",
  "permissions-policy": "camera=(), geolocation=(), microphone=()",
};

/** Of the same origin, or from a program that is no browser (which sends no cookie of ours by accident). */
export function isSameOrigin(request: Pick<IncomingMessage, "headers">): boolean {
  const { origin, host } = request.headers;
  const site = request.headers["sec-fetch-site"];
  if (site !== undefined && site !== "same-origin" && site !== "none") return false;
  if (origin === undefined) return true;
  return URL.canParse(origin) && new URL(origin).host === host;
}

export function sessionIdOf(request: Pick<IncomingMessage, "headers">): string | undefined {
  for (const part of (request.headers.cookie ?? "").split(";")) {
    const [name, value] = part.trim().split("=", 2);
    if (name === SESSION_COOKIE) return value;
  }
  return undefined;
}

/** Ends with the browser's session; `undefined` takes the cookie away. */
export function sessionCookie(id: string | undefined): string {
  const attributes = "Path=/; HttpOnly; SameSite=Strict";
  return id === undefined ? `${SESSION_COOKIE}=; ${attributes}; Max-Age=0` : `${SESSION_COOKIE}=${id}; ${attributes}`;
}
