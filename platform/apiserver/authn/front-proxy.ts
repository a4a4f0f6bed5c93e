/**
 * Users that an authenticating proxy names in headers (upstream's request header authenticator). Believed of a client certificate that the
 * front proxy's authority signed for an allowed name, and of nobody else. Such a user belongs to the tenant that is asked, else to root.
 */

import { X509Certificate } from "node:crypto";
import type { IncomingHttpHeaders } from "node:http";
import { ROOT_TENANT } from "#platform/store/port.ts";
import type { TenantDirectory } from "#platform/store/tenants.ts";
import type { Authenticator } from "./authenticator.ts";

const USER = "x-remote-user";
const GROUP = "x-remote-group";
const UID = "x-remote-uid";
const EXTRA = "x-remote-extra-";
/** Certificates seen lately, by their bytes: whether they are a front proxy's. */
const KNOWN_MAX = 256;

const many = (value: string | string[] | undefined): string[] =>
  (Array.isArray(value) ? value : (value ?? "").split(",")).map((part) => part.trim()).filter(Boolean);

/** A key may hold any characters, percent-encoded where a header may not. */
function keyOf(header: string): string {
  try {
    return decodeURIComponent(header.slice(EXTRA.length));
  } catch {
    return header.slice(EXTRA.length);
  }
}

function extraOf(headers: IncomingHttpHeaders): Record<string, string[]> {
  const extra: Record<string, string[]> = {};
  for (const [name, value] of Object.entries(headers)) if (name.startsWith(EXTRA)) extra[keyOf(name)] = many(value);
  return extra;
}

export interface FrontProxyOptions {
  /** PEM of the authority. */
  ca: string;
  allowedNames: readonly string[];
  tenants: Pick<TenantDirectory, "resolve">;
}

export function frontProxy({ ca, allowedNames, tenants }: FrontProxyOptions): Authenticator {
  const authority = new X509Certificate(ca);
  const known = new Map<string, boolean>();

  function isProxys(der: Buffer, now: number): boolean {
    const key = der.toString("base64");
    const certificate = new X509Certificate(der);
    if (now < Date.parse(certificate.validFrom) || now > Date.parse(certificate.validTo)) return false;
    let trusted = known.get(key);
    if (trusted === undefined) {
      const name = /^CN=(.*)$/m.exec(certificate.subject)?.[1] ?? "";
      const signed = certificate.checkIssued(authority) && certificate.verify(authority.publicKey);
      trusted = signed && allowedNames.includes(name);
      if (known.size >= KNOWN_MAX) known.clear();
      known.set(key, trusted);
    }
    return trusted;
  }

  return {
    async authenticate({ certificate, headers, tenantName }, now) {
      const name = many(headers?.[USER])[0];
      if (!certificate || !headers || !name || !isProxys(certificate, now)) return undefined;
      const tenant = tenantName && tenantName !== "*" ? (await tenants.resolve(tenantName))?.id : ROOT_TENANT;
      if (tenant === undefined) return undefined;
      const uid = many(headers[UID])[0];
      const extra = extraOf(headers);
      return {
        tenant,
        name,
        groups: many(headers[GROUP]),
        ...(uid ? { uid } : {}),
        ...(Object.keys(extra).length > 0 ? { extra } : {}),
      };
    },
  };
}
