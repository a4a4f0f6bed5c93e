/** What a CertificateSigningRequest asks for, and whether its signer may give it: pure (upstream: pkg/apis/certificates/helpers.go). */
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import type { CertificateSigningRequest } from "#sdk/api/generated/types.ts";

export const KUBELET_CLIENT = "kubernetes.io/kube-apiserver-client-kubelet";
export const KUBELET_SERVING = "kubernetes.io/kubelet-serving";
export const API_CLIENT = "kubernetes.io/kube-apiserver-client";
export const LEGACY_UNKNOWN = "kubernetes.io/legacy-unknown";

const NODE_PREFIX = "system:node:";
const NODES = "system:nodes";

/** Throws an Error for what is no PKCS#10 in PEM. */
export function parseRequest({ spec }: CertificateSigningRequest): x509.Pkcs10CertificateRequest {
  const pem = Buffer.from(spec.request, "base64").toString("latin1");
  if (!/-----BEGIN CERTIFICATE REQUEST-----/.test(pem)) throw new Error("PEM block type must be CERTIFICATE REQUEST");
  return new x509.Pkcs10CertificateRequest(pem);
}

export const commonNameOf = (request: x509.Pkcs10CertificateRequest): string =>
  request.subjectName.getField("CN").at(-1) ?? "";

/** Why the signer must refuse; undefined when it may sign. An unknown signer signs nothing: "unknown". */
export function refusal(csr: CertificateSigningRequest, request: x509.Pkcs10CertificateRequest): string | undefined {
  const usages = csr.spec.usages ?? [];
  switch (csr.spec.signerName) {
    case KUBELET_CLIENT:
      return kubeletClientRefusal(request, usages);
    case KUBELET_SERVING:
      return kubeletServingRefusal(request, usages);
    case API_CLIENT:
      return clientRefusal(usages);
    case LEGACY_UNKNOWN:
      return undefined;
    default:
      return "unknown";
  }
}

function kubeletClientRefusal(request: x509.Pkcs10CertificateRequest, usages: readonly string[]): string | undefined {
  const names = alternativeNames(request);
  if (!isOfNodes(request)) return "subject organization is not system:nodes";
  if (names.some((n) => n.type === "dns")) return "DNS subjectAltNames are not allowed";
  if (names.some((n) => n.type === "email")) return "Email subjectAltNames are not allowed";
  if (names.some((n) => n.type === "ip")) return "IP subjectAltNames are not allowed";
  if (names.some((n) => n.type === "url")) return "URI subjectAltNames are not allowed";
  if (!commonNameOf(request).startsWith(NODE_PREFIX)) return "subject common name does not begin with system:node:";
  return wrongUsages(usages, "client auth");
}

function kubeletServingRefusal(request: x509.Pkcs10CertificateRequest, usages: readonly string[]): string | undefined {
  const names = alternativeNames(request);
  if (!isOfNodes(request)) return "subject organization is not system:nodes";
  if (!names.some((n) => n.type === "dns" || n.type === "ip")) return "DNS or IP subjectAltName is required";
  if (names.some((n) => n.type === "email")) return "Email subjectAltNames are not allowed";
  if (names.some((n) => n.type === "url")) return "URI subjectAltNames are not allowed";
  return (
    wrongUsages(usages, "server auth") ??
    (commonNameOf(request).startsWith(NODE_PREFIX) ? undefined : "subject common name does not begin with system:node:")
  );
}

function clientRefusal(usages: readonly string[]): string | undefined {
  const other = usages.find((u) => !["digital signature", "key encipherment", "client auth"].includes(u));
  if (other !== undefined) return `invalid usage for client certificate: ${other}`;
  return usages.includes("client auth") ? undefined : "missing required usage for client certificate: client auth";
}

function isOfNodes(request: x509.Pkcs10CertificateRequest): boolean {
  const organizations = request.subjectName.getField("O");
  return organizations.length === 1 && organizations[0] === NODES;
}

/** Exactly signing and `purpose`; encipherment is for RSA keys. */
function wrongUsages(usages: readonly string[], purpose: string): string | undefined {
  const given = new Set(usages);
  given.delete("key encipherment");
  const right = given.size === 2 && given.has("digital signature") && given.has(purpose);
  return right
    ? undefined
    : `usages did not match [${["digital signature", "key encipherment", purpose].sort().join(" ")}]`;
}

export function alternativeNames(request: x509.Pkcs10CertificateRequest): x509.JsonGeneralName[] {
  const found = request.extensions.find((e) => e instanceof x509.SubjectAlternativeNameExtension);
  return found?.names.toJSON() ?? [];
}

/** What may approve itself, by the subresource whose creation its asker must be allowed; most particular first. */
export function selfApprovals(csr: CertificateSigningRequest): { subresource: string; message: string }[] {
  if (csr.spec.signerName !== KUBELET_CLIENT) return [];
  const request = parseRequest(csr);
  if (refusal(csr, request) !== undefined) return [];
  const own = {
    subresource: "selfnodeclient",
    message: "Auto approving self kubelet client certificate after SubjectAccessReview.",
  };
  const other = {
    subresource: "nodeclient",
    message: "Auto approving kubelet client certificate after SubjectAccessReview.",
  };
  return csr.spec.username === commonNameOf(request) ? [own, other] : [other];
}
