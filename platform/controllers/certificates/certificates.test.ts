import { deepEqual, equal, ok } from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { describe, test } from "node:test";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import type { CertificateSigningRequest } from "#sdk/api/generated/types.ts";
import { until } from "#sdk/testing/until.ts";
import { CERTIFICATE_SIGNING_REQUESTS } from "../resources.ts";
import { world } from "../testing/world.ts";
import { certificateCleaner, certificateSigner } from "./controller.ts";
import { deletableInMs } from "./reconcile.ts";
import { parseRequest, refusal, selfApprovals } from "./request.ts";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;
const KUBELET_USAGES = ["digital signature", "client auth"];
const newKeys = () => crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]);

async function asked(
  subject: string,
  spec: Partial<CertificateSigningRequest["spec"]> = {},
  names: x509.JsonGeneralNames = [],
): Promise<CertificateSigningRequest> {
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: subject,
    keys: await newKeys(),
    signingAlgorithm: ALGORITHM,
    extensions: names.length > 0 ? [new x509.SubjectAlternativeNameExtension(names)] : [],
  });
  return {
    apiVersion: "certificates.k8s.io/v1",
    kind: "CertificateSigningRequest",
    metadata: { name: "r" },
    spec: {
      request: Buffer.from(request.toString("pem")).toString("base64"),
      signerName: "kubernetes.io/kube-apiserver-client",
      usages: ["client auth"],
      ...spec,
    },
  };
}

async function newAuthority() {
  const keys = await newKeys();
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: "CN=test",
    notBefore: new Date(Date.now() - 1000),
    notAfter: new Date(Date.now() + 3_600_000 * 24 * 3650),
    keys,
    signingAlgorithm: ALGORITHM,
    extensions: [new x509.BasicConstraintsExtension(true, undefined, true)],
  });
  const key = x509.PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY");
  return { certificate: certificate.toString("pem"), key };
}

const NODE = "O=system:nodes, CN=system:node:a";
const kubelet = { signerName: "kubernetes.io/kube-apiserver-client-kubelet", usages: KUBELET_USAGES };
const serving = { signerName: "kubernetes.io/kubelet-serving", usages: ["digital signature", "server auth"] };

describe("what a signer refuses", () => {
  const cases: [string, Partial<CertificateSigningRequest["spec"]>, x509.JsonGeneralNames, string | undefined][] = [
    [NODE, kubelet, [], undefined],
    [NODE, { ...kubelet, usages: [...KUBELET_USAGES, "key encipherment"] }, [], undefined],
    [NODE, kubelet, [{ type: "dns", value: "a" }], "DNS subjectAltNames are not allowed"],
    ["O=system:masters, CN=system:node:a", kubelet, [], "subject organization is not system:nodes"],
    ["O=system:nodes, CN=a", kubelet, [], "subject common name does not begin with system:node:"],
    [
      NODE,
      { ...kubelet, usages: ["client auth"] },
      [],
      "usages did not match [client auth digital signature key encipherment]",
    ],
    [NODE, serving, [{ type: "ip", value: "10.0.0.1" }], undefined],
    [NODE, serving, [], "DNS or IP subjectAltName is required"],
    ["CN=jane", {}, [], undefined],
    ["CN=jane", { usages: ["server auth"] }, [], "invalid usage for client certificate: server auth"],
    ["CN=jane", { usages: [] }, [], "missing required usage for client certificate: client auth"],
    ["CN=jane", { signerName: "example.com/x" }, [], "unknown"],
  ];
  for (const [subject, spec, names, expected] of cases) {
    test(`${subject} of ${spec.signerName ?? "clients"}: ${expected ?? "signed"}`, async () => {
      const csr = await asked(subject, spec, names);
      equal(refusal(csr, parseRequest(csr)), expected);
    });
  }
});

test("a kubelet's own request may approve itself by either right, another's by one, nobody else's", async () => {
  const rights = async (spec: Partial<CertificateSigningRequest["spec"]>) =>
    selfApprovals(await asked(NODE, { ...kubelet, ...spec })).map((a) => a.subresource);
  deepEqual(await rights({ username: "system:node:a" }), ["selfnodeclient", "nodeclient"]);
  deepEqual(await rights({ username: "system:bootstrap:abc" }), ["nodeclient"]);
  deepEqual(await rights({ usages: ["server auth"] }), []);
});

const approved = { type: "Approved", status: "True", reason: "Test" };

test("an approved request is signed as asked, once, and a refused one fails", async (t) => {
  const authority = await newAuthority();
  const { client } = world(t, [certificateSigner], { authorityOf: async () => authority });
  const names: x509.JsonGeneralNames = [{ type: "dns", value: "a.example" }];
  const csr = await asked("O=dev, CN=jane", { expirationSeconds: 3600 }, names);
  await client.create(CERTIFICATE_SIGNING_REQUESTS, { ...csr, status: { conditions: [approved] } });
  const wrong = await asked("CN=jane", { usages: ["server auth"] });
  const status = { conditions: [approved] };
  await client.create(CERTIFICATE_SIGNING_REQUESTS, { ...wrong, metadata: { name: "wrong" }, status });
  await client.create(CERTIFICATE_SIGNING_REQUESTS, { ...csr, metadata: { name: "pending" } });
  const get = (name: string) => client.get<CertificateSigningRequest>(CERTIFICATE_SIGNING_REQUESTS, { name });
  await until(async () => (await get("r")).status?.certificate !== undefined);
  const issued = new X509Certificate(Buffer.from((await get("r")).status?.certificate ?? "", "base64"));
  equal(issued.subject, "O=dev\nCN=jane");
  equal(issued.subjectAltName, "DNS:a.example");
  deepEqual(issued.keyUsage, ["1.3.6.1.5.5.7.3.2"]);
  ok(issued.checkIssued(new X509Certificate(authority.certificate)));
  equal(issued.ca, false);
  const leftMs = Date.parse(issued.validTo) - Date.now();
  ok(leftMs > 3_000_000 && leftMs <= 3_600_000);
  await until(async () => (await get("wrong")).status?.conditions?.some((c) => c.type === "Failed") ?? false);
  equal((await get("pending")).status?.certificate, undefined);
});

test("requests are kept a day undecided and an hour decided", async (t) => {
  const csr = await asked("CN=jane");
  const at = (status: CertificateSigningRequest["status"], hours: number) =>
    (deletableInMs(
      { ...csr, metadata: { ...csr.metadata, creationTimestamp: "2026-01-01T00:00:00Z" }, status },
      Date.parse("2026-01-01T00:00:00Z") + hours * 3_600_000,
    ) ?? 1) <= 0;
  const decided = (type: string) => ({
    conditions: [{ type, status: "True", lastUpdateTime: "2026-01-01T00:00:00Z" }],
  });
  deepEqual([at(undefined, 23), at(undefined, 25)], [false, true]);
  deepEqual([at(decided("Denied"), 0.5), at(decided("Denied"), 1.5)], [false, true]);
  deepEqual([at(decided("Approved"), 23), at(decided("Approved"), 25)], [false, true]);

  const { client } = world(t, [certificateCleaner]);
  await client.create(CERTIFICATE_SIGNING_REQUESTS, { ...csr, status: decided("Denied") });
  await until(async () => (await client.list(CERTIFICATE_SIGNING_REQUESTS)).items.length === 0);
});
