/**
 * What the control plane gives a machine that is to join: a bootstrap token that lasts a day, and cluster-info, by which who has the token
 * knows the cluster for the right one. The token's user may ask for a node's certificate and nothing else.
 */
import { createHash, randomInt, X509Certificate } from "node:crypto";
import { stringify } from "yaml";
import { CLUSTER_INFO, TOKEN_NAMESPACE, TOKEN_TYPE } from "#platform/controllers/bootstrap-tokens/tokens.ts";
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import type { Config } from "../config.ts";

export const JOINING = "system:bootstrappers:capstan:nodes";
/** In cluster-info, beside the signed kubeconfig: NetworkFacts as JSON. */
export const NETWORK_KEY = "capstan-network";

/** What a node must know of the cluster's addresses before it starts. */
export interface NetworkFacts {
  podCIDR: string;
  serviceCIDR: string;
  /** Of the second family, in an instance that has two. */
  secondary?: { podCIDR: string; serviceCIDR: string };
  dns: { domain: string; address: string };
}

const RBAC = "rbac.authorization.k8s.io";
const rbac = (resource: string): GroupVersionResource => ({ group: RBAC, version: "v1", resource });
const CONFIGMAPS: GroupVersionResource = { group: "", version: "v1", resource: "configmaps" };
const SECRETS: GroupVersionResource = { group: "", version: "v1", resource: "secrets" };
const TOKEN_HOURS = 24;
const ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789";

const randomText = (length: number): string =>
  Array.from({ length }, () => ALPHABET[randomInt(ALPHABET.length)]).join("");

/** SHA-256 of the authority's public key, as kubeadm writes it. */
export const authorityHash = (ca: string): string =>
  `sha256:${createHash("sha256")
    .update(new X509Certificate(ca).publicKey.export({ type: "spki", format: "der" }))
    .digest("hex")}`;

const group = (name: string) => ({ apiGroup: RBAC, kind: "Group", name });

function objects(config: Config, server: string, ca: string): [GroupVersionResource, KubeObject][] {
  const { podCIDR, serviceCIDR, secondary, dns } = config;
  const facts: NetworkFacts = { podCIDR, serviceCIDR, ...(secondary ? { secondary } : {}), dns };
  const cluster = { server, "certificate-authority-data": Buffer.from(ca).toString("base64") };
  const kubeconfig = { apiVersion: "v1", kind: "Config", clusters: [{ name: "", cluster }] };
  const binding = (name: string, role: string, to: string): [GroupVersionResource, KubeObject] => [
    rbac("clusterrolebindings"),
    {
      apiVersion: `${RBAC}/v1`,
      kind: "ClusterRoleBinding",
      metadata: { name },
      ...{ roleRef: { apiGroup: RBAC, kind: "ClusterRole", name: role }, subjects: [group(to)] },
    },
  ];
  const requests = "system:certificates.k8s.io:certificatesigningrequests";
  const name = "capstan:cluster-info";
  const { namespace } = CLUSTER_INFO;
  return [
    [
      CONFIGMAPS,
      {
        apiVersion: "v1",
        kind: "ConfigMap",
        metadata: CLUSTER_INFO,
        ...{ data: { kubeconfig: stringify(kubeconfig), [NETWORK_KEY]: JSON.stringify(facts) } },
      },
    ],
    [
      rbac("roles"),
      {
        apiVersion: `${RBAC}/v1`,
        kind: "Role",
        metadata: { name, namespace },
        ...{
          rules: [{ apiGroups: [""], resources: ["configmaps"], resourceNames: [CLUSTER_INFO.name], verbs: ["get"] }],
        },
      },
    ],
    [
      rbac("rolebindings"),
      {
        apiVersion: `${RBAC}/v1`,
        kind: "RoleBinding",
        metadata: { name, namespace },
        ...{
          roleRef: { apiGroup: RBAC, kind: "Role", name },
          subjects: [group("system:unauthenticated"), group("system:authenticated")],
        },
      },
    ],
    binding("capstan:node-bootstrapper", "system:node-bootstrapper", JOINING),
    binding("capstan:node-autoapprove-bootstrap", `${requests}:nodeclient`, JOINING),
    binding("capstan:node-autoapprove-rotation", `${requests}:selfnodeclient`, "system:nodes"),
  ];
}

/** Makes what is missing, by the admin's credentials, and a new token; answers it. `server`: where machines reach the API server. */
export async function invite(client: Client, config: Config, server: string, ca: string): Promise<string> {
  for (const [resource, object] of objects(config, server, ca)) await ensure(client, resource, object);
  const [id, secret] = [randomText(6), randomText(16)];
  const token: KubeObject = {
    apiVersion: "v1",
    kind: "Secret",
    metadata: { name: `bootstrap-token-${id}`, namespace: TOKEN_NAMESPACE },
    ...{
      type: TOKEN_TYPE,
      stringData: {
        "token-id": id,
        "token-secret": secret,
        expiration: new Date(Date.now() + TOKEN_HOURS * 3_600_000).toISOString().replace(/\.\d+Z$/, "Z"),
        "usage-bootstrap-authentication": "true",
        "usage-bootstrap-signing": "true",
        "auth-extra-groups": JOINING,
        description: "a machine that joins by `capstan node join`",
      },
    },
  };
  await client.create(SECRETS, token);
  return `${id}.${secret}`;
}

/** The controllers sign cluster-info: their keys in it stay. */
async function ensure(client: Client, resource: GroupVersionResource, object: KubeObject): Promise<void> {
  try {
    await client.create(resource, object);
  } catch (error) {
    if (!isReason(error, "AlreadyExists")) throw error;
    const { apiVersion: _version, kind: _kind, metadata, ...rest } = object as KubeObject & Record<string, never>;
    const { name = "", namespace } = metadata;
    await client.patch(resource, { name, ...(namespace ? { namespace } : {}) }, { type: "merge", body: rest });
  }
}
