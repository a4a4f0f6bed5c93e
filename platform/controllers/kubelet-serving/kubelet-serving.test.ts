import { equal } from "node:assert/strict";
import { test } from "node:test";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import type { CertificateSigningRequest, Node } from "#sdk/api/generated/types.ts";
import { CERTIFICATE_SIGNING_REQUESTS, NODES } from "../resources.ts";
import { converges } from "../testing/converge.ts";
import { isOwn, kubeletServingApprover } from "./controller.ts";

const KEY = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" } as const;

async function csr(user: string, names: { type: "dns" | "ip"; value: string }[]): Promise<CertificateSigningRequest> {
  const keys = (await crypto.subtle.generateKey(KEY, true, ["sign", "verify"])) as CryptoKeyPair;
  const request = await x509.Pkcs10CertificateRequestGenerator.create({
    name: [{ O: ["system:nodes"] }, { CN: ["system:node:a"] }],
    keys,
    signingAlgorithm: KEY,
    extensions: [new x509.SubjectAlternativeNameExtension(names)],
  });
  return {
    apiVersion: "certificates.k8s.io/v1",
    kind: "CertificateSigningRequest",
    metadata: { name: `${user.replaceAll(":", "-")}-${names.map(({ value }) => value).join("-")}` },
    spec: {
      request: Buffer.from(request.toString("pem")).toString("base64"),
      signerName: "kubernetes.io/kubelet-serving",
      usages: ["digital signature", "server auth"],
      username: user,
      groups: ["system:nodes"],
    },
  };
}
const parsed = ({ spec }: CertificateSigningRequest) =>
  new x509.Pkcs10CertificateRequest(Buffer.from(spec.request, "base64").toString("latin1"));
const node: Node = {
  apiVersion: "v1",
  kind: "Node",
  metadata: { name: "a" },
  status: { addresses: [{ type: "InternalIP", address: "192.0.2.1" }] },
};
const OWN = [
  { type: "dns" as const, value: "a" },
  { type: "ip" as const, value: "192.0.2.1" },
];

test("a node asks for its own name and addresses; nobody else's, and nobody else for it", async () => {
  const own = await csr("system:node:a", OWN);
  equal(isOwn(own, parsed(own), node), true);
  equal(isOwn(own, parsed(own), undefined), false);
  const foreign = await csr("system:node:a", [...OWN, { type: "ip", value: "192.0.2.2" }]);
  equal(isOwn(foreign, parsed(foreign), node), false);
  const other = await csr("system:node:b", OWN);
  equal(isOwn(other, parsed(other), node), false);
});

test("what is the node's own is approved, also when the Node says so later", async (t) => {
  const requests = [await csr("system:node:a", OWN), await csr("system:node:a", [{ type: "ip", value: "192.0.2.9" }])];
  await converges(t, {
    loops: [kubeletServingApprover],
    steps: [
      ...requests.map(
        (one) => (client: Parameters<Parameters<typeof converges>[1]["view"]>[0]) =>
          client.create(CERTIFICATE_SIGNING_REQUESTS, one),
      ),
      (client) => client.create(NODES, node),
    ],
    view: async (client) =>
      (await client.list<CertificateSigningRequest>(CERTIFICATE_SIGNING_REQUESTS)).items
        .map((one) => one.status?.conditions?.map(({ type }) => type).join() ?? "none")
        .sort(),
    expected: ["Approved", "none"],
    runs: 3,
  });
});
