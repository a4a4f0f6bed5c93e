import "reflect-metadata";
import assert from "node:assert/strict";
import { test } from "node:test";
import * as x509 from "@peculiar/x509";
import type { Key, Store } from "#platform/store/port.ts";
import type { PodSpec } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import type { Authorizer } from "../authz/authorizer.ts";
import type { AdmissionAttributes } from "../registry/admission.ts";
import { nodeRules } from "./nodes.ts";

/** What is there, by resource and name. */
const storeOf = (objects: Record<string, object>): Store =>
  ({
    async get({ resource, name }: Key) {
      const object = objects[`${resource}/${name}`];
      return object && { document: JSON.stringify(object) };
    },
  }) as unknown as Store;

const asked: string[] = [];
const authorizer: Authorizer = {
  async authorize({ verb, resource }) {
    asked.push(`${verb} ${resource?.resource} ${resource?.namespace}/${resource?.name}`);
    return { decision: resource?.resource === "vault" ? "allow" : "noOpinion", reason: "" };
  },
};

const pod = (volumes: PodSpec["volumes"], nodeName = "n1") => ({
  metadata: { name: "p", uid: "u" },
  spec: { containers: [], nodeName, volumes },
});
const token = (audiences: string[]): Partial<AdmissionAttributes> => ({
  resource: { group: "", version: "v1", resource: "serviceaccounts" },
  subresource: "token",
  namespace: "team",
  name: "robot",
  object: {
    metadata: {},
    spec: { audiences, boundObjectRef: { apiVersion: "v1", kind: "Pod", name: "p", uid: "u" } },
  } as unknown as DynamicObject,
});

/** Why not, or "" when the node may. */
async function refusal(objects: Record<string, object>, more: Partial<AdmissionAttributes>): Promise<string> {
  const request = {
    tenant: 1,
    operation: "CREATE",
    subresource: "",
    namespace: "",
    name: "",
    user: { tenant: 1, name: "system:node:n1", groups: ["system:nodes"] },
    ...more,
  } as AdmissionAttributes;
  try {
    await nodeRules(storeOf(objects), authorizer).validate?.(request);
    return "";
  } catch (error) {
    assert.ok(isReason(error, "Forbidden"));
    return (error as Error).message.replace(/^.* is forbidden: /, "");
  }
}

const projected = (audience?: string): PodSpec["volumes"] => [
  { name: "v", projected: { sources: [{ serviceAccountToken: { path: "t", ...(audience ? { audience } : {}) } }] } },
];

test("a node gets tokens of the audiences that a pod's volumes name, and of those it is allowed", async () => {
  const objects = { "pods/p": pod(projected("db")) };
  assert.equal(await refusal(objects, token(["db"])), "");
  assert.equal(await refusal(objects, token(["vault"])), "");
  assert.equal(asked.at(-1), "request-serviceaccounts-token-audience vault team/robot");
  assert.equal(
    await refusal(objects, token(["other"])),
    'audience "other" not found in pod spec volume, system:node:n1 is not authorized to request tokens for this audience',
  );
  assert.equal(await refusal({ "pods/p": pod(projected()) }, token([])), "");
  assert.match(await refusal(objects, token([])), /^audience "" not found/);
});

test("a driver's audience counts, however the pod comes to the driver", async () => {
  const driver = { metadata: { name: "d" }, spec: { tokenRequests: [{ audience: "store" }] } };
  const objects = (volume: object): Record<string, object> => ({
    "pods/p": pod([{ name: "v", ...volume }]),
    "persistentvolumeclaims/c": { metadata: {}, spec: { volumeName: "pv" } },
    "persistentvolumeclaims/p-v": { metadata: {}, spec: { volumeName: "pv" } },
    "persistentvolumes/pv": { metadata: {}, spec: { csi: { driver: "d" } } },
    "csidrivers.storage.k8s.io/d": driver,
    "csidrivers.storage.k8s.io/ebs.csi.aws.com": driver,
  });
  for (const volume of [
    { csi: { driver: "d" } },
    { persistentVolumeClaim: { claimName: "c" } },
    { ephemeral: { volumeClaimTemplate: { spec: {} } } },
    { awsElasticBlockStore: { volumeID: "x" } },
  ])
    assert.equal(await refusal(objects(volume), token(["store"])), "", JSON.stringify(volume));
  assert.equal(
    await refusal(objects({ persistentVolumeClaim: { claimName: "gone" } }), token(["store"])),
    'error validating audience "store": persistentvolumeclaim "gone" not found',
  );
});

test("pods of others and other users are not this rule's to judge", async () => {
  assert.equal(await refusal({ "pods/p": pod([], "n2") }, token(["other"])), "");
  assert.equal(await refusal({}, token(["other"])), "");
  const user = { tenant: 1, name: "alice", groups: [] };
  assert.equal(await refusal({ "pods/p": pod([]) }, { ...token(["other"]), user }), "");
});

test("a node asks for certificates of its own name only", async () => {
  const keys = await crypto.subtle.generateKey({ name: "ECDSA", namedCurve: "P-256" }, true, ["sign", "verify"]);
  const ask = async (name: string, signerName: string) => {
    const request = await x509.Pkcs10CertificateRequestGenerator.create({
      name: `CN=${name}, O=system:nodes`,
      keys,
      signingAlgorithm: { name: "ECDSA", hash: "SHA-256" },
    });
    const spec = { request: Buffer.from(request.toString("pem")).toString("base64"), signerName };
    return await refusal(
      {},
      {
        resource: { group: "certificates.k8s.io", version: "v1", resource: "certificatesigningrequests" },
        object: { metadata: { name: "c" }, spec } as unknown as DynamicObject,
      },
    );
  };
  assert.equal(await ask("system:node:n1", "kubernetes.io/kubelet-serving"), "");
  assert.equal(
    await ask("system:node:n2", "kubernetes.io/kube-apiserver-client-kubelet"),
    "can only create a node CSR with CN=system:node:n1",
  );
  assert.equal(await ask("system:node:n2", "example.org/other"), "");
});
