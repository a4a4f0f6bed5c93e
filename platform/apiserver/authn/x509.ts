/** Client certificates: CN is the user, O its groups (the x509 authenticator upstream). */
import { type KeyObject, X509Certificate } from "node:crypto";
import { ROOT_TENANT, type TenantId } from "#platform/store/port.ts";
import { unauthorized } from "#sdk/api/status.ts";
import type { UserInfo } from "../registry/admission.ts";
import type { Authenticator } from "./authenticator.ts";
import { tenantOfAuthority } from "./tenantKeys.ts";

const CLIENT_AUTH = "1.3.6.1.5.5.7.3.2";
const CACHE_MAX = 1024;

interface Verified {
  user: UserInfo;
  notBefore: number;
  notAfter: number;
}

/** Subject lines as node:crypto prints them: one `TYPE=value` a line, with backslash escapes. */
function subjectOf(certificate: X509Certificate): { name: string; groups: string[] } {
  let name = "";
  const groups: string[] = [];
  for (const line of certificate.subject.split("\n").flatMap((l) => l.split(/(?<!\\)\+/))) {
    const at = line.indexOf("=");
    const value = line.slice(at + 1).replace(/\\(.)/g, "$1");
    if (line.startsWith("CN=")) name = value;
    if (line.startsWith("O=")) groups.push(value);
  }
  return { name, groups };
}

/** What the certificates of tenants are checked by. */
export interface TenantAuthorities {
  /** Undefined: there is no such tenant (any more). */
  publicKey(tenant: TenantId): KeyObject | undefined;
}

/** `ca` is the PEM of root's client authority; certificates it signed belong to root, those of a tenant's authority to that tenant. */
export function certificates(ca: string, tenants: TenantAuthorities): Authenticator {
  const authority = new X509Certificate(ca);
  const known = new Map<string, Verified>();
  /** The same buffer comes with each request of a connection. */
  const seen = new WeakMap<Buffer, Verified>();

  /** By signature alone: what the subject says is its holder's word. */
  function homeOf(certificate: X509Certificate): TenantId | undefined {
    if (certificate.checkIssued(authority) && certificate.verify(authority.publicKey)) return ROOT_TENANT;
    const tenant = tenantOfAuthority(/^CN=(.*)$/m.exec(certificate.issuer)?.[1] ?? "");
    const key = tenant === undefined || tenant === ROOT_TENANT ? undefined : tenants.publicKey(tenant);
    return key && certificate.verify(key) ? tenant : undefined;
  }

  function verify(der: Buffer): Verified {
    const certificate = new X509Certificate(der);
    const tenant = homeOf(certificate);
    if (tenant === undefined) throw unauthorized();
    if (!(certificate.keyUsage ?? []).includes(CLIENT_AUTH)) throw unauthorized();
    const { name, groups } = subjectOf(certificate);
    if (name === "") throw unauthorized();
    const extra = { "authentication.kubernetes.io/credential-id": [`X509SHA256=${fingerprint(certificate)}`] };
    return {
      user: { tenant, name, groups, extra },
      notBefore: Date.parse(certificate.validFrom),
      notAfter: Date.parse(certificate.validTo),
    };
  }

  function remembered(certificate: Buffer): Verified {
    const key = certificate.toString("base64");
    let verified = known.get(key);
    if (!verified) {
      verified = verify(certificate);
      if (known.size >= CACHE_MAX) known.clear();
      known.set(key, verified);
    }
    return verified;
  }

  return {
    async authenticate({ certificate }, now) {
      if (!certificate) return undefined;
      const verified = seen.get(certificate) ?? remembered(certificate);
      seen.set(certificate, verified);
      // A tenant may have been removed since.
      const { tenant } = verified.user;
      if (tenant !== ROOT_TENANT && tenants.publicKey(tenant) === undefined) throw unauthorized();
      if (now < verified.notBefore || now > verified.notAfter) throw unauthorized();
      return verified.user;
    },
  };
}

const fingerprint = (certificate: X509Certificate): string =>
  certificate.fingerprint256.replaceAll(":", "").toLowerCase();
