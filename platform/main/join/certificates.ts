/** A node's certificates by CertificateSigningRequests: its own key never leaves the machine. */
import "reflect-metadata";
import { X509Certificate } from "node:crypto";
import * as x509 from "@peculiar/x509";
import type { CertificateSigningRequest } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource } from "#sdk/api/object.ts";
import type { Client } from "#sdk/client/port.ts";

export interface Credential {
  /** PEM */
  cert: string;
  key: string;
}

export type Purpose = "client" | "serving";

const REQUESTS: GroupVersionResource = {
  group: "certificates.k8s.io",
  version: "v1",
  resource: "certificatesigningrequests",
};
const KEY = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const SIGNERS = {
  client: { signerName: "kubernetes.io/kube-apiserver-client-kubelet", usages: ["digital signature", "client auth"] },
  serving: { signerName: "kubernetes.io/kubelet-serving", usages: ["digital signature", "server auth"] },
} as const;
const WAIT_MS_MAX = 60_000;
const LOOK_MS = 500;
/** A certificate is renewed when less than this share of its life is left. */
const RENEW_SHARE = 0.3;

/** `addresses`: in the serving certificate, beside the name. Throws an Error with what was refused, or that nobody decided in time. */
export async function requestCertificate(
  client: Client,
  purpose: Purpose,
  node: { name: string; addresses: readonly string[] },
): Promise<Credential> {
  const keys = (await crypto.subtle.generateKey(KEY, true, ["sign", "verify"])) as CryptoKeyPair;
  const names = [
    { type: "dns" as const, value: node.name },
    ...node.addresses.map((value) => ({ type: "ip" as const, value })),
  ];
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ O: ["system:nodes"] }, { CN: [`system:node:${node.name}`] }],
    keys,
    signingAlgorithm: KEY,
    extensions: purpose === "serving" ? [new x509.SubjectAlternativeNameExtension(names)] : [],
  });
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  const { signerName, usages } = SIGNERS[purpose];
  const created = await client.create<CertificateSigningRequest>(REQUESTS, {
    apiVersion: "certificates.k8s.io/v1",
    kind: "CertificateSigningRequest",
    metadata: { generateName: `node-${purpose}-` },
    spec: { request: Buffer.from(request.toString("pem")).toString("base64"), signerName, usages: [...usages] },
  });
  return { cert: await issued(client, created.metadata.name ?? "", signerName), key };
}

async function issued(client: Client, name: string, signerName: string): Promise<string> {
  for (const end = Date.now() + WAIT_MS_MAX; ; ) {
    const { status } = await client.get<CertificateSigningRequest>(REQUESTS, { name });
    if (status?.certificate) return Buffer.from(status.certificate, "base64").toString("utf8");
    const refused = status?.conditions?.find(({ type }) => type === "Denied" || type === "Failed");
    if (refused)
      throw new Error(`the request ${name} to ${signerName} was refused: ${refused.message ?? refused.type}`);
    if (Date.now() > end)
      throw new Error(`nobody has approved and signed ${name} (${signerName}) in ${WAIT_MS_MAX / 1000} s`);
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/** Whether it is time for the next one. */
export function isDue(cert: string, now: number): boolean {
  const { validFrom, validTo } = new X509Certificate(cert);
  const [from, to] = [Date.parse(validFrom), Date.parse(validTo)];
  return to - now < (to - from) * RENEW_SHARE;
}
