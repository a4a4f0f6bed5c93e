import assert from "node:assert/strict";
import { X509Certificate } from "node:crypto";
import { mkdtempSync, readFileSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { type Config, paths } from "./config.ts";
import { ensurePki } from "./pki.ts";

const dataDir = mkdtempSync(join(tmpdir(), "capstan-pki-"));
after(() => rmSync(dataDir, { recursive: true, force: true }));

const config: Config = {
  dataDir,
  instance: "000000",
  api: { host: "0.0.0.0", port: 6443 },
  console: { host: "127.0.0.1", port: 8080 },
  databaseUrl: "",
  serviceCIDR: "10.96.0.0/16",
  podCIDR: "10.244.0.0/16",
  dns: { domain: "cluster.local", address: "10.96.0.10" },
  engine: "jco",
  nodes: [{ name: "n1", address: "127.0.0.1", kubeletPort: 10250, podCIDR: "10.244.0.0/24", containerdSocket: "" }],
};
const pem = (name: string) => readFileSync(join(paths(dataDir).pki, name), "utf8");
const DAY_MS = 24 * 3600 * 1000;

test("every certificate is the authority's, the server's names hold, and keys are their owner's alone", async () => {
  await ensurePki(config);
  const authority = new X509Certificate(pem("ca.crt"));
  for (const name of ["apiserver", "apiserver-kubelet-client", "admin-client", "node-n1", "node-n1-client"]) {
    assert.ok(new X509Certificate(pem(`${name}.crt`)).verify(authority.publicKey), name);
    assert.equal(statSync(join(paths(dataDir).pki, `${name}.key`)).mode & 0o777, 0o600);
  }
  const server = new X509Certificate(pem("apiserver.crt"));
  assert.ok(server.checkHost("kubernetes.default.svc.cluster.local"));
  assert.ok(server.checkIP("10.96.0.1"));
  assert.equal(statSync(paths(dataDir).kubeconfig).mode & 0o777, 0o600);
});

test("a second run changes nothing; a certificate close to its end is renewed under the same authority", async () => {
  const [ca, server, key] = [pem("ca.crt"), pem("apiserver.crt"), pem("sa.key")];
  await ensurePki(config);
  assert.equal(pem("apiserver.crt"), server);
  await ensurePki(config, Date.now() + 330 * DAY_MS);
  assert.notEqual(pem("apiserver.crt"), server);
  assert.equal(pem("ca.crt"), ca);
  assert.equal(pem("sa.key"), key);
});
