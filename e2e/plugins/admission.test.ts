/** Upstream's admission plug-ins that are components, as they are installed: what they refuse, change and leave alone, through the API. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { paths } from "#platform/main/config.ts";
import type { Ingress, PersistentVolumeClaim, Pod } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import { createClient } from "#sdk/client/client.ts";
import type { Client } from "#sdk/client/port.ts";
import { addonReady } from "#sdk/engine/addon.ts";
import { Cluster } from "../support/cluster.ts";
import { eventually } from "../support/instance.ts";

const core = (resource: string): GroupVersionResource => ({ group: "", version: "v1", resource });
const [NAMESPACES, PODS, NODES, CLAIMS] = [
  core("namespaces"),
  core("pods"),
  core("nodes"),
  core("persistentvolumeclaims"),
];
const v1 = (group: string, resource: string): GroupVersionResource => ({ group, version: "v1", resource });
const LEVEL = "pod-security.kubernetes.io/enforce";

const pod = (namespace: string, name: string): Pod & KubeObject => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { namespace, name },
  spec: { containers: [{ name: "c", image: "example.org/c:1" }] },
});

/** Why a write was refused; undefined when it was not. */
async function refusal(write: Promise<unknown>): Promise<{ code: number; message: string } | undefined> {
  try {
    await write;
    return undefined;
  } catch (error) {
    assert.ok(error instanceof StatusError, String(error));
    return { code: error.code, message: error.message };
  }
}

describe("admission components", { skip: !addonReady() && "the wasmtime addon is not built (cargo)" }, () => {
  let cluster: Cluster;
  let admin: Client;
  let node: Client;

  before(async () => {
    cluster = await Cluster.start({ servers: 1, engine: "wasmtime", asInstalled: true });
    const [server] = cluster.servers;
    assert.ok(server);
    const files = cluster.credentialFiles;
    const ca = readFileSync(join(paths(server.dataDir).pki, "ca.crt"), "utf8");
    const [cert, key] = [readFileSync(files.cert, "utf8"), readFileSync(files.key, "utf8")];
    const options = { server: server.url, ca, cert, key, userAgent: "test" };
    admin = createClient(options);
    node = createClient({ ...options, impersonate: { user: "system:node:n1", group: "system:nodes" } });
    const metadata = { name: "strict", labels: { [LEVEL]: "restricted" } };
    await admin.create(NAMESPACES, { apiVersion: "v1", kind: "Namespace", metadata });
    for (const namespace of ["strict", "default"]) {
      const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default", namespace } };
      await admin.create(core("serviceaccounts"), account);
    }
    // They are installed after the start: each serves when it is warm.
    const serving = async () => {
      const why = await refusal(admin.create(PODS, pod("strict", "a"), { dryRun: true }));
      return why?.message.includes("violates PodSecurity");
    };
    await eventually("pods are held to their namespace's level", serving);
    const restricted = async () => (await refusal(node.create(NODES, nodeOf("n2"), { dryRun: true })))?.code === 403;
    await eventually("nodes are restricted", restricted);
  });
  after(async () => {
    admin?.close();
    node?.close();
    await cluster?.remove();
  });

  const nodeOf = (name: string, labels: Record<string, string> = {}): KubeObject => ({
    apiVersion: "v1",
    kind: "Node",
    metadata: { name, labels },
  });

  it("a pod is refused where its namespace's level forbids it, in upstream's words, and nowhere else", async () => {
    const why = await refusal(admin.create(PODS, pod("strict", "a")));
    assert.match(
      why?.message ?? "",
      /^pods "a" is forbidden: violates PodSecurity "restricted:latest": allowPrivilegeEsc/,
    );
    assert.equal(await refusal(admin.create(PODS, pod("default", "a"))), undefined);
  });

  it("a level that there is not is no label for a namespace", async () => {
    const body = { metadata: { labels: { [LEVEL]: "none" } } };
    const why = await refusal(admin.patch(NAMESPACES, { name: "default" }, { type: "merge", body }));
    assert.deepEqual(
      [why?.code, why?.message.includes("must be one of privileged, baseline, restricted")],
      [422, true],
    );
  });

  it("claims and ingresses that name no class get the default one", async () => {
    const annotations = (kind: string) => ({ [`${kind}.kubernetes.io/is-default-class`]: "true" });
    await admin.create(v1("storage.k8s.io", "storageclasses"), {
      apiVersion: "storage.k8s.io/v1",
      kind: "StorageClass",
      metadata: { name: "fast", annotations: annotations("storageclass") },
      provisioner: "example.org/p",
    } as KubeObject);
    await admin.create(v1("networking.k8s.io", "ingressclasses"), {
      apiVersion: "networking.k8s.io/v1",
      kind: "IngressClass",
      metadata: { name: "web", annotations: annotations("ingressclass") },
      spec: { controller: "example.org/c" },
    } as KubeObject);
    const claim: PersistentVolumeClaim & KubeObject = {
      apiVersion: "v1",
      kind: "PersistentVolumeClaim",
      metadata: { name: "c", namespace: "default" },
      spec: { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } },
    };
    const ingress: Ingress & KubeObject = {
      apiVersion: "networking.k8s.io/v1",
      kind: "Ingress",
      metadata: { name: "i", namespace: "default" },
      spec: { defaultBackend: { service: { name: "s", port: { number: 80 } } } },
    };
    await eventually("the claim's class is the default one", async () => {
      const made = await admin.create(CLAIMS, claim, { dryRun: true });
      return made.spec?.storageClassName === "fast";
    });
    await eventually("the ingress's class is the default one", async () => {
      const made = await admin.create(v1("networking.k8s.io", "ingresses"), ingress, { dryRun: true });
      return made.spec?.ingressClassName === "web";
    });
  });

  it("a node is itself, without labels that decide what runs on it", async () => {
    const other = await refusal(node.create(NODES, nodeOf("n2")));
    assert.match(other?.message ?? "", /node "n1" is not allowed to modify node "n2"$/);
    const role = { "node-role.kubernetes.io/control-plane": "" };
    const labelled = await refusal(node.create(NODES, nodeOf("n1", role)));
    assert.match(
      labelled?.message ?? "",
      /is not allowed to set the following labels: node-role.kubernetes.io\/control-plane$/,
    );
    assert.equal(await refusal(node.create(NODES, nodeOf("n1", { "kubernetes.io/hostname": "n1" }))), undefined);
  });
});
