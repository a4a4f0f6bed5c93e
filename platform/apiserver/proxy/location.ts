/** Where pods/NAME/proxy, services/NAME/proxy and nodes/NAME/proxy lead: "name", "name:port" or "scheme:name:port". */
import { BlockList, isIP } from "node:net";
import { ROOT_TENANT, type Store } from "#platform/store/port.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { badRequest, forbidden, unavailable } from "#sdk/api/status.ts";
import type { Registry } from "../registry/registry.ts";
import type { RequestContext } from "../registry/strategy.ts";

export interface Location {
  scheme: "http" | "https";
  host: string;
  port: number;
  /** The node agent itself: reached with the API server's client certificate. */
  agent: boolean;
}

export interface LocationParts {
  registry: Registry;
  store: Store;
  /** What a tenant's own pods have addresses from ("10.244.0.0/16"): beyond root, a proxy leads nowhere else. */
  podCIDRs: readonly string[];
}

interface Asked {
  scheme: "http" | "https";
  name: string;
  port: string;
}

/** apimachinery's SplitSchemeNamePort; undefined for what is no such id. */
export function splitId(id: string): Asked | undefined {
  const parts = id.split(":");
  const [scheme, name, port] = parts.length === 3 ? parts : ["", parts[0], parts[1] ?? ""];
  if (parts.length > 3 || !name || !["", "http", "https"].includes(scheme ?? "")) return undefined;
  return { scheme: scheme === "https" ? "https" : "http", name, port: port ?? "" };
}

interface Pod extends KubeObject {
  spec: { containers: { ports?: { containerPort: number }[] }[] };
  status?: { podIP?: string };
}

interface Service extends KubeObject {
  spec: { ports?: { name?: string; port: number }[] };
}

interface Address {
  ip: string;
  targetRef?: { kind?: string; namespace?: string; name?: string };
}

interface Endpoints extends KubeObject {
  subsets?: { addresses?: Address[]; ports?: { name?: string; port: number }[] }[];
}

interface Node extends KubeObject {
  status?: {
    addresses?: { type: string; address: string }[];
    daemonEndpoints?: { kubeletEndpoint?: { Port?: number } };
  };
}

/** Loopback, link-local, multicast and the unspecified address lead into this machine, not to a pod. */
const inside = new BlockList();
inside.addSubnet("127.0.0.0", 8);
inside.addSubnet("169.254.0.0", 16);
inside.addSubnet("224.0.0.0", 4);
inside.addAddress("0.0.0.0");
inside.addAddress("255.255.255.255");
inside.addAddress("::", "ipv6");
inside.addAddress("::1", "ipv6");
inside.addSubnet("fe80::", 10, "ipv6");
inside.addSubnet("ff00::", 8, "ipv6");

const familyOf = (ip: string) => (isIP(ip) === 6 ? "ipv6" : "ipv4");
const isGlobal = (ip: string): boolean => isIP(ip) !== 0 && !inside.check(ip, familyOf(ip));

function withinCidr(ip: string, cidr: string): boolean {
  const [network = "", bits = ""] = cidr.split("/");
  const list = new BlockList();
  list.addSubnet(network, Number(bits), familyOf(network));
  return isIP(ip) !== 0 && list.check(ip, familyOf(ip));
}

/** A tenant may write what its objects say of addresses: what they say must be a pod's, and nobody else's. */
async function checkAddress({ store, podCIDRs }: LocationParts, context: RequestContext, ip: string): Promise<void> {
  if (!isGlobal(ip)) throw badRequest("address not allowed");
  if (context.tenant === ROOT_TENANT) return;
  if (!podCIDRs.some((cidr) => withinCidr(ip, cidr))) throw badRequest("address not allowed");
  const { objects } = await store.list({
    scope: { tenant: "*", resource: "pods" },
    freshness: { type: "atLeast", revision: 0 },
    matcher: ({ fields }) => (fields["status.podIPs"] ?? "").split(",").includes(ip),
  });
  if (objects.some(({ key }) => key.tenant !== context.tenant)) throw badRequest("address not allowed");
}

const portOf = (port: string, scheme: Asked["scheme"]): number => {
  const number = port === "" ? (scheme === "https" ? 443 : 80) : Number(port);
  if (!Number.isInteger(number) || number < 1 || number > 65535)
    throw badRequest(`invalid port ${JSON.stringify(port)}`);
  return number;
};

async function podLocation(parts: LocationParts, context: RequestContext, namespace: string, id: string) {
  const asked = splitId(id);
  if (!asked) throw badRequest(`invalid pod request ${JSON.stringify(id)}`);
  const pod = (await parts.registry.read(context, "", "pods", namespace, asked.name)) as unknown as Pod;
  const first = pod.spec.containers.find((c) => c.ports?.[0])?.ports?.[0]?.containerPort;
  const host = pod.status?.podIP ?? "";
  await checkAddress(parts, context, host);
  const port = asked.port === "" && first !== undefined ? first : portOf(asked.port, asked.scheme);
  return { scheme: asked.scheme, host, port, agent: false };
}

async function serviceLocation(parts: LocationParts, context: RequestContext, namespace: string, id: string) {
  const asked = splitId(id);
  if (!asked) throw badRequest(`invalid service request ${JSON.stringify(id)}`);
  const { registry } = parts;
  let name = asked.port;
  if (/^\d+$/.test(asked.port)) {
    const service = (await registry.read(context, "", "services", namespace, asked.name)) as unknown as Service;
    const found = service.spec.ports?.find((p) => p.port === Number(asked.port));
    if (!found) throw unavailable(`no service port ${asked.port} found for service ${JSON.stringify(asked.name)}`);
    name = found.name ?? "";
  }
  const endpoints = (await registry.read(context, "", "endpoints", namespace, asked.name)) as unknown as Endpoints;
  const none = (what: string) => unavailable(`no endpoints available for service ${JSON.stringify(what)}`);
  if (!endpoints.subsets?.length) throw none(asked.name);
  for (const { addresses = [], ports = [] } of shuffled(endpoints.subsets)) {
    const port = ports.find((p) => (p.name ?? "") === name)?.port;
    if (port === undefined) continue;
    for (const address of shuffled(addresses)) {
      if (!(await isPods(parts, context, address))) continue;
      await checkAddress(parts, context, address.ip);
      return { scheme: asked.scheme, host: address.ip, port, agent: false };
    }
  }
  throw none(id);
}

/** Only addresses that are really a pod's are led to. */
async function isPods(
  { registry }: LocationParts,
  context: RequestContext,
  { ip, targetRef }: Address,
): Promise<boolean> {
  if (targetRef?.kind !== "Pod" || !targetRef.name) return false;
  const pod = await registry
    .read(context, "", "pods", targetRef.namespace ?? "", targetRef.name)
    .catch(() => undefined);
  return (pod as unknown as Pod | undefined)?.status?.podIP === ip;
}

const shuffled = <T>(list: readonly T[]): T[] => {
  const start = Math.floor(Math.random() * list.length);
  return [...list.slice(start), ...list.slice(0, start)];
};

async function nodeLocation({ registry }: LocationParts, context: RequestContext, id: string): Promise<Location> {
  const asked = splitId(id);
  if (!asked) throw badRequest(`invalid node request ${JSON.stringify(id)}`);
  // Nodes are root's: a tenant's own object of that kind would lead wherever the tenant likes.
  if (context.tenant !== ROOT_TENANT) {
    throw forbidden({ group: "", resource: "nodes" }, asked.name, "nodes are reached through the root tenant only");
  }
  const node = (await registry.read(context, "", "nodes", "", asked.name)) as unknown as Node;
  const host = node.status?.addresses?.find((a) => a.type === "InternalIP")?.address;
  const agentPort = node.status?.daemonEndpoints?.kubeletEndpoint?.Port;
  if (!host || !agentPort) throw unavailable(`the node ${asked.name} has no address`);
  if (asked.port === "" || Number(asked.port) === agentPort)
    return { scheme: "https", host, port: agentPort, agent: true };
  if (!isGlobal(host)) throw badRequest("address not allowed");
  return { scheme: asked.scheme, host, port: portOf(asked.port, asked.scheme), agent: false };
}

/** Throws StatusError with upstream's words: 400 for a bad id, 404 for no such object, 503 where nothing answers for it. */
export async function locate(
  parts: LocationParts,
  context: RequestContext,
  resource: string,
  namespace: string,
  id: string,
): Promise<Location> {
  if (resource === "pods") return await podLocation(parts, context, namespace, id);
  if (resource === "services") return await serviceLocation(parts, context, namespace, id);
  return await nodeLocation(parts, context, id);
}
