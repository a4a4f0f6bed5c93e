/** A data directory of a machine that joined somebody else's control plane: containerd and the node agent, nothing else. */
import { mkdirSync, readFileSync } from "node:fs";
import { connect } from "node:net";
import { join } from "node:path";
import { type Family, familyOf, rangeFamily } from "#platform/rules/ranges.ts";
import type { Node } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import { type Config, type Engine, type NodeConfig, paths } from "../config.ts";
import { clientKubeconfig, writePrivate } from "../pki.ts";
import { hostAddressOf, instanceOf, writeConfig } from "../settings.ts";
import { UserError } from "../steps.ts";
import { type Credential, isDue, requestCertificate } from "./certificates.ts";
import type { Discovered } from "./discovery.ts";
import type { NetworkFacts } from "./invitation.ts";

const NODES: GroupVersionResource = { group: "", version: "v1", resource: "nodes" };
const RANGE_MS_MAX = 60_000;
const LOOK_MS = 300;
const CONNECT_MS_MAX = 10_000;

export interface JoinRequest {
  dataDir: string;
  server: string;
  token: string;
  nodeName: string;
  kubeletPort: number;
  engine: Engine;
}

const nodeFiles = (dataDir: string, name: string) => ({
  ca: join(paths(dataDir).pki, "ca.crt"),
  cert: join(paths(dataDir).pki, `node-${name}.crt`),
  key: join(paths(dataDir).pki, `node-${name}.key`),
  kubeconfig: paths(dataDir).roleKubeconfig(`node-${name}`),
});

/** The address of this machine from which the API server is reached, which is where other nodes reach it. */
export function ownAddress(server: string): Promise<string> {
  const { hostname, port } = new URL(server);
  return new Promise((resolve, reject) => {
    const socket = connect({ host: hostname, port: Number(port || 443), timeout: CONNECT_MS_MAX });
    const fail = (why: string) => {
      socket.destroy();
      reject(new UserError(`${server} cannot be reached from here: ${why}`, "check the URL, and firewalls on the way"));
    };
    socket.once("connect", () => {
      const { localAddress = "" } = socket;
      socket.destroy();
      resolve(localAddress.replace(/^::ffff:/, ""));
    });
    socket.once("timeout", () => fail("no answer"));
    socket.once("error", (error) => fail(error.message));
  });
}

/** The address of the cluster's default family first, then that of the other one, where the machine has it. */
export function ordered(own: string, other: string | undefined, defaultFamily: Family | undefined): string[] {
  if (other === undefined) return [own];
  return familyOf(own) === defaultFamily ? [own, other] : [other, own];
}

/** Of each of the cluster's families that this machine has: where other nodes reach it. */
async function ownAddresses(server: string, { podCIDR, secondary }: NetworkFacts): Promise<string[]> {
  const own = await ownAddress(server);
  const other = secondary && hostAddressOf(familyOf(own) === "IPv4" ? "IPv6" : "IPv4");
  return ordered(own, other, rangeFamily(podCIDR));
}

/** Asks for the node's identity by the token, makes the Node, and writes down what `up` needs here. */
export async function enroll(request: JoinRequest, { ca, network }: Discovered): Promise<Config> {
  const { dataDir, server, token, nodeName } = request;
  const addresses = await ownAddresses(server, network);
  const [address = "", otherAddress] = addresses;
  const files = nodeFiles(dataDir, nodeName);
  mkdirSync(paths(dataDir).pki, { recursive: true, mode: 0o700 });
  writePrivate(files.ca, ca);
  const guest = createClient({ server, ca, token });
  const identity = await requestCertificate(guest, "client", { name: nodeName, addresses }).finally(() =>
    guest.close(),
  );
  writePrivate(files.kubeconfig, clientKubeconfig(server, ca, `system:node:${nodeName}`, identity));
  const client = createClient(loadKubeconfig(files.kubeconfig));
  try {
    await makeNode(client, nodeName, addresses);
    const serving = await requestCertificate(client, "serving", { name: nodeName, addresses });
    writeServing(dataDir, nodeName, serving);
    const [podCIDR = "", otherCIDR] = await rangesOf(client, nodeName, network.secondary === undefined ? 1 : 2);
    const config: Config = {
      dataDir,
      instance: instanceOf(dataDir),
      api: { host: new URL(server).hostname, port: Number(new URL(server).port || 443) },
      console: { host: "127.0.0.1", port: 0 },
      databaseUrl: "",
      ...network,
      engine: request.engine,
      nodes: [
        {
          name: nodeName,
          address,
          kubeletPort: request.kubeletPort,
          podCIDR,
          ...(otherCIDR === undefined
            ? {}
            : { secondary: { podCIDR: otherCIDR, ...(otherAddress === undefined ? {} : { address: otherAddress }) } }),
          containerdSocket: join(paths(dataDir).node(nodeName), "containerd", "containerd.sock"),
        },
      ],
      joined: { server },
    };
    writeConfig(config);
    return config;
  } finally {
    client.close();
  }
}

function writeServing(dataDir: string, nodeName: string, { cert, key }: Credential): void {
  const files = nodeFiles(dataDir, nodeName);
  writePrivate(files.key, key);
  writePrivate(files.cert, cert);
}

/** The Node says its addresses before its serving certificate is asked for: who approves that compares. */
async function makeNode(client: Client, name: string, own: readonly string[]): Promise<void> {
  const addresses = [...own.map((address) => ({ type: "InternalIP", address })), { type: "Hostname", address: name }];
  const node: Node = { apiVersion: "v1", kind: "Node", metadata: { name }, spec: {}, status: { addresses } };
  try {
    await client.create<Node>(NODES, node);
  } catch (error) {
    if (!isReason(error, "AlreadyExists")) throw error;
    const known = await client.get<Node>(NODES, { name });
    const ready = known.status?.conditions?.find(({ type }) => type === "Ready")?.status === "True";
    if (ready)
      throw new UserError(`there is a node ${name} already, and it is ready`, "choose another name: --name NAME");
    const body = { status: { addresses } };
    await client.patch(NODES, { name }, { type: "merge", body }, { subresource: "status" });
  }
}

/** A Node of this name that was there before may have one range only, and keeps it. */
async function rangesOf(client: Client, name: string, count: number): Promise<string[]> {
  for (const end = Date.now() + RANGE_MS_MAX; ; ) {
    const { spec } = await client.get<Node>(NODES, { name });
    if (spec?.podCIDR) return (spec.podCIDRs ?? [spec.podCIDR]).slice(0, count);
    if (Date.now() > end)
      throw new UserError("the cluster has no range of pod addresses left for this node", "kubectl describe nodes");
    await new Promise((resolve) => setTimeout(resolve, LOOK_MS));
  }
}

/**
 * Renews what is close to its end (or all of it); true when something is new: the agent must start again to use it. By the node's own
 * certificate, so that no token is needed as long as the machine is not off for months.
 */
export async function renewCertificates(
  config: Config,
  node: NodeConfig,
  force: boolean,
  now: number,
): Promise<boolean> {
  const files = nodeFiles(config.dataDir, node.name);
  const { server, ca = "", cert = "", key } = loadKubeconfig(files.kubeconfig);
  const due = (pem: string) => force || isDue(pem, now);
  const [client, serving] = [due(cert), due(readFileSync(files.cert, "utf8"))];
  if (!client && !serving) return false;
  const connection = createClient({ server, ca, cert, ...(key ? { key } : {}) });
  try {
    const second = node.secondary?.address;
    const who = { name: node.name, addresses: [node.address, ...(second === undefined ? [] : [second])] };
    if (client) {
      const identity = await requestCertificate(connection, "client", who);
      writePrivate(files.kubeconfig, clientKubeconfig(server, ca, `system:node:${node.name}`, identity));
    }
    if (serving) writeServing(config.dataDir, node.name, await requestCertificate(connection, "serving", who));
    return true;
  } finally {
    connection.close();
  }
}
