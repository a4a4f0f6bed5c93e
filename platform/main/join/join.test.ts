import assert from "node:assert/strict";
import { test } from "node:test";
import "reflect-metadata";
import * as x509 from "@peculiar/x509";
import { stringify } from "yaml";
import { detachedSignature } from "#platform/controllers/bootstrap-tokens/tokens.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { createFakeApi } from "#sdk/testing/fake-api.ts";
import { isDue } from "./certificates.ts";
import { verifiedAuthority } from "./discovery.ts";
import { drainNode } from "./drain.ts";
import { ordered } from "./joined.ts";

const TOKEN = "abcdef.0123456789abcdef";
const kubeconfig = stringify({
  clusters: [
    { cluster: { server: "https://x", "certificate-authority-data": Buffer.from("the CA").toString("base64") } },
  ],
});
const signed = (secret: string) => ({
  kubeconfig,
  "jws-kubeconfig-abcdef": detachedSignature(kubeconfig, "abcdef", secret),
});

test("an authority is believed when the token's secret signed it, refused when another did, and waited for without a signature", () => {
  assert.equal(verifiedAuthority(signed("0123456789abcdef"), TOKEN), "the CA");
  assert.throws(() => verifiedAuthority(signed("fedcba9876543210"), TOKEN), /not the cluster that the token is of/);
  assert.equal(verifiedAuthority({ kubeconfig }, TOKEN), undefined);
  const changed = { ...signed("0123456789abcdef"), kubeconfig: `${kubeconfig}\n# another` };
  assert.throws(() => verifiedAuthority(changed, TOKEN), /another secret/);
});

test("a machine that joins is known by the address of the cluster's default family first, and by what it has of the other", () => {
  assert.deepEqual(ordered("192.0.2.1", "fd00::1", "IPv4"), ["192.0.2.1", "fd00::1"]);
  assert.deepEqual(ordered("192.0.2.1", "fd00::1", "IPv6"), ["fd00::1", "192.0.2.1"]);
  assert.deepEqual(ordered("192.0.2.1", undefined, "IPv6"), ["192.0.2.1"]);
});

test("a certificate is due when three tenths of its life are left", async () => {
  const algorithm = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
  const keys = (await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"])) as CryptoKeyPair;
  const certificate = await x509.X509CertificateGenerator.createSelfSigned({
    name: [{ CN: ["x"] }],
    keys,
    signingAlgorithm: algorithm,
    notBefore: new Date(0),
    notAfter: new Date(100_000),
  });
  const pem = certificate.toString("pem");
  assert.deepEqual(
    [60_000, 69_000, 71_000, 200_000].map((now) => isDue(pem, now)),
    [false, false, true, true],
  );
});

test("a drained node takes no new pods, and those of every tenant are evicted but for DaemonSets' and ended ones", async () => {
  const { client } = createFakeApi();
  const NODES = { group: "", version: "v1", resource: "nodes" };
  const PODS = { group: "", version: "v1", resource: "pods" };
  await client.create<Node>(NODES, { apiVersion: "v1", kind: "Node", metadata: { name: "n" }, spec: {} });
  const pod = (name: string, more: Partial<Pod["metadata"]> = {}, phase = "Running"): KubeObject => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name, namespace: "default", ...more },
    ...{ spec: { nodeName: "n", containers: [] }, status: { phase } },
  });
  const owner = [{ apiVersion: "apps/v1", kind: "DaemonSet", name: "d", uid: "u", controller: true }];
  await client.create(PODS, pod("daemon", { ownerReferences: owner }));
  await client.create(PODS, pod("done", {}, "Succeeded"));
  await client.create(PODS, pod("web"));
  await client.tenant("blue").create(PODS, pod("theirs"));
  const left: number[] = [];
  const evicting = new Proxy(client, {
    get: (target, name) =>
      name === "tenant"
        ? (tenant: string) =>
            tenant === "*"
              ? target.tenant("*")
              : {
                  raw: async (_: string, path: string) => {
                    await target
                      .tenant(tenant)
                      .delete(PODS, { namespace: "default", name: path.split("/").at(-2) ?? "" });
                    return { code: 201, body: "" };
                  },
                }
        : Reflect.get(target, name),
  });
  assert.deepEqual(await drainNode(evicting, "n", 10_000, (count) => left.push(count)), []);
  assert.deepEqual([left[0], left.at(-1)], [2, 0]);
  assert.equal((await client.get<Node>(NODES, { name: "n" })).spec?.unschedulable, true);
});
