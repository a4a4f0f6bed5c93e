/** What the rules need to know of pods: who has which address. */
import { canonicalAddress, type Family, familyOf } from "#platform/rules/ranges.ts";
import { keyOf, tenantOf } from "#sdk/client/port.ts";
import type { Pod, Protocol } from "../objects.ts";

/** A port that containers give a name to. */
export interface NamedPort {
  name: string;
  protocol: Protocol;
  port: number;
}

export interface PodFacts {
  /** "tenant/namespace/name" */
  key: string;
  uid: string;
  tenant: string;
  namespace: string;
  labels: Readonly<Record<string, string>>;
  nodeName: string;
  /** Of the pod network and one family; empty for a pod on its host's network, and for one that has ended: its address may be another's. */
  addresses: readonly string[];
  ports: readonly NamedPort[];
}

const MIRROR = "kubernetes.io/config.mirror";
const ENDED = new Set(["Succeeded", "Failed"]);

/** What the rules of one family need to know. */
export function podFacts(pod: Pod, family: Family = "IPv4"): PodFacts {
  const { metadata, spec = {}, status = {} } = pod;
  const gone = spec.hostNetwork === true || ENDED.has(status.phase ?? "");
  const all = status.podIPs ?? [{ ip: status.podIP }];
  const containers = [...(spec.containers ?? []), ...(spec.initContainers ?? [])];
  return {
    key: keyOf(pod),
    // The node knows a pod of its own by another uid than the API's.
    uid: metadata.annotations?.[MIRROR] ?? metadata.uid ?? "",
    tenant: tenantOf(pod),
    namespace: metadata.namespace ?? "",
    labels: metadata.labels ?? {},
    nodeName: spec.nodeName ?? "",
    addresses: gone ? [] : all.flatMap(({ ip = "" }) => (familyOf(ip) === family ? [canonicalAddress(ip)] : [])),
    ports: containers.flatMap(({ ports = [] }) =>
      ports.flatMap(({ name, containerPort, protocol = "TCP" }) =>
        name === undefined ? [] : [{ name, protocol, port: containerPort }],
      ),
    ),
  };
}

/** Pods by tenant and namespace, and by the addresses that they have on this node. */
export class PodTable {
  private readonly pods = new Map<string, PodFacts>();
  private readonly namespaces = new Map<string, Map<string, PodFacts>>();
  private readonly tenants = new Map<string, Map<string, PodFacts>>();
  private readonly addresses = new Map<string, Map<string, PodFacts>>();

  /** Returns what was known before. */
  set(key: string, facts: PodFacts | undefined): PodFacts | undefined {
    const old = this.pods.get(key);
    if (old) {
      this.pods.delete(key);
      take(this.namespaces, namespaceKey(old), key);
      take(this.tenants, old.tenant, key);
      for (const address of old.addresses) take(this.addresses, address, key);
    }
    if (facts) {
      this.pods.set(key, facts);
      put(this.namespaces, namespaceKey(facts), facts);
      put(this.tenants, facts.tenant, facts);
      for (const address of facts.addresses) put(this.addresses, address, facts);
    }
    return old;
  }

  get(key: string): PodFacts | undefined {
    return this.pods.get(key);
  }

  inTenant(tenant: string): Iterable<PodFacts> {
    return this.tenants.get(tenant)?.values() ?? [];
  }

  inNamespace(tenant: string, namespace: string): Iterable<PodFacts> {
    return this.namespaces.get(`${tenant}/${namespace}`)?.values() ?? [];
  }

  /** The last that came: of two with one address the other is about to end. */
  at(address: string): PodFacts | undefined {
    return [...(this.addresses.get(address)?.values() ?? [])].at(-1);
  }

  tenantNames(): Iterable<string> {
    return this.tenants.keys();
  }

  allAddresses(): Iterable<string> {
    return this.addresses.keys();
  }
}

export const namespaceKey = ({ tenant, namespace }: Pick<PodFacts, "tenant" | "namespace">): string =>
  `${tenant}/${namespace}`;

function put(index: Map<string, Map<string, PodFacts>>, at: string, facts: PodFacts): void {
  const known = index.get(at);
  if (known) known.set(facts.key, facts);
  else index.set(at, new Map([[facts.key, facts]]));
}

function take(index: Map<string, Map<string, PodFacts>>, at: string, key: string): void {
  const known = index.get(at);
  known?.delete(key);
  if (known?.size === 0) index.delete(at);
}
