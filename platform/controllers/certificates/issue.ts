/** Signs what was asked for (upstream: pkg/controller/certificates/authority). */
import "reflect-metadata";
import { randomBytes } from "node:crypto";
import * as x509 from "@peculiar/x509";
import type { CertificateSigningRequest } from "#sdk/api/generated/types.ts";
import type { SigningAuthority } from "../context.ts";
import { alternativeNames } from "./request.ts";

/** Upstream's --cluster-signing-duration. */
const LONGEST_MS = 365 * 24 * 3600 * 1000;
const SHORTEST_MS = 10 * 60 * 1000;
/** Clocks differ a little. */
const BACKDATE_MS = 5 * 60 * 1000;
/** What is shorter than this is not shortened by the backdating. */
const SHORT_MS = 8 * 3600 * 1000;
const SIGNATURE = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

const { KeyUsageFlags: Flag } = x509;
const KEY_USAGES: Readonly<Record<string, number>> = {
  signing: Flag.digitalSignature,
  "digital signature": Flag.digitalSignature,
  "content commitment": Flag.nonRepudiation,
  "key encipherment": Flag.keyEncipherment,
  "key agreement": Flag.keyAgreement,
  "data encipherment": Flag.dataEncipherment,
  "cert sign": Flag.keyCertSign,
  "crl sign": Flag.cRLSign,
  "encipher only": Flag.encipherOnly,
  "decipher only": Flag.decipherOnly,
};
/** RFC 5280 §4.2.1.12 and the registrations of IPsec, Microsoft and Netscape. */
const PURPOSES: Readonly<Record<string, string>> = {
  any: "2.5.29.37.0",
  "server auth": "1.3.6.1.5.5.7.3.1",
  "client auth": "1.3.6.1.5.5.7.3.2",
  "code signing": "1.3.6.1.5.5.7.3.3",
  "email protection": "1.3.6.1.5.5.7.3.4",
  "s/mime": "1.3.6.1.5.5.7.3.4",
  "ipsec end system": "1.3.6.1.5.5.7.3.5",
  "ipsec tunnel": "1.3.6.1.5.5.7.3.6",
  "ipsec user": "1.3.6.1.5.5.7.3.7",
  timestamping: "1.3.6.1.5.5.7.3.8",
  "ocsp signing": "1.3.6.1.5.5.7.3.9",
  "microsoft sgc": "1.3.6.1.4.1.311.10.3.3",
  "netscape sgc": "2.16.840.1.113730.4.1",
};

function lifetimeMs(expirationSeconds: number | undefined): number {
  if (expirationSeconds === undefined) return LONGEST_MS;
  return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, expirationSeconds * 1000));
}

function usageExtensions(usages: readonly string[]): x509.Extension[] {
  let flags = 0;
  const purposes = new Set<string>();
  for (const usage of usages) {
    const [flag, purpose] = [KEY_USAGES[usage], PURPOSES[usage]];
    if (flag !== undefined) flags |= flag;
    else if (purpose !== undefined) purposes.add(purpose);
    else throw new Error(`unrecognized usage values: [${JSON.stringify(usage)}]`);
  }
  return [
    ...(flags === 0 ? [] : [new x509.KeyUsagesExtension(flags, true)]),
    ...(purposes.size === 0 ? [] : [new x509.ExtendedKeyUsageExtension([...purposes])]),
  ];
}

/** PEM of the certificate, followed by the authority's own where it is not a root. `now` in milliseconds. Throws for a wrong signature. */
export async function issueCertificate(
  csr: CertificateSigningRequest,
  request: x509.Pkcs10CertificateRequest,
  authority: SigningAuthority,
  now: number,
): Promise<string> {
  if (!(await request.verify())) throw new Error("unable to verify certificate request signature");
  const issuer = new x509.X509Certificate(authority.certificate);
  if (issuer.notAfter.getTime() <= now)
    throw new Error(
      `refusing to sign a certificate that expired in the past: NotAfter=${issuer.notAfter.toISOString()}`,
    );
  const lifetime = lifetimeMs(csr.spec.expirationSeconds);
  const end = now + (lifetime < SHORT_MS ? lifetime : lifetime - BACKDATE_MS);
  const names = alternativeNames(request);
  const key = x509.PemConverter.decodeFirst(authority.key);
  const certificate = await x509.X509CertificateGenerator.create({
    // Positive, whatever the bytes.
    serialNumber: `01${randomBytes(15).toString("hex")}`,
    subject: request.subjectName,
    issuer: issuer.subjectName,
    notBefore: new Date(now - BACKDATE_MS),
    notAfter: new Date(Math.min(end, issuer.notAfter.getTime())),
    signingAlgorithm: SIGNATURE,
    publicKey: request.publicKey,
    signingKey: await crypto.subtle.importKey("pkcs8", key, SIGNATURE, false, ["sign"]),
    extensions: [
      ...usageExtensions(csr.spec.usages ?? []),
      new x509.BasicConstraintsExtension(false, undefined, true),
      await x509.AuthorityKeyIdentifierExtension.create(issuer.publicKey),
      ...(names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names, request.subject === "")] : []),
    ],
  });
  const chain = issuer.subject === issuer.issuer ? [] : [issuer];
  return [certificate, ...chain].map((c) => `${c.toString("pem")}\n`).join("");
}
