/** When a request has been kept long enough: pure (upstream: pkg/controller/certificates/cleaner). */
import { X509Certificate } from "node:crypto";
import type { CertificateSigningRequest } from "#sdk/api/generated/types.ts";

const HOUR_MS = 3_600_000;
const DECIDED_MS = HOUR_MS;
const PENDING_MS = 24 * HOUR_MS;

export const isApproved = (csr: CertificateSigningRequest): boolean => has(csr, "Approved") && !has(csr, "Denied");
export const isDecided = (csr: CertificateSigningRequest): boolean => has(csr, "Approved") || has(csr, "Denied");
export const hasFailed = (csr: CertificateSigningRequest): boolean =>
  (csr.status?.conditions ?? []).some((c) => c.type === "Failed" && c.status === "True");
const has = ({ status }: CertificateSigningRequest, type: string): boolean =>
  (status?.conditions ?? []).some((c) => c.type === type);

/** Milliseconds until it may be deleted, zero or less when it may be now; undefined while nothing but a change can tell. */
export function deletableInMs(csr: CertificateSigningRequest, now: number): number | undefined {
  const { certificate, conditions = [] } = csr.status ?? {};
  const deadlines: number[] = [];
  const after = (time: string | undefined, ms: number) => {
    const at = Date.parse(time ?? "");
    if (!Number.isNaN(at)) deadlines.push(at + ms);
  };
  if (conditions.length === 0) after(csr.metadata.creationTimestamp, PENDING_MS);
  for (const { type, lastUpdateTime } of conditions) {
    if (type === "Denied" || type === "Failed") after(lastUpdateTime, DECIDED_MS);
    if (type !== "Approved") continue;
    after(lastUpdateTime, certificate ? DECIDED_MS : PENDING_MS);
    const end = certificate ? expiry(certificate) : undefined;
    if (end !== undefined) deadlines.push(end);
  }
  return deadlines.length > 0 ? Math.min(...deadlines) - now : undefined;
}

function expiry(certificate: string): number | undefined {
  try {
    return Date.parse(new X509Certificate(Buffer.from(certificate, "base64")).validTo);
  } catch {
    return undefined;
  }
}
