/** Names that the whole host shares. Each carries the instance (six hexadecimal digits); interfaces have 15 characters at most. */
export interface NetworkNames {
  /** Bridge of a node's pods. */
  podBridge: string;
  /** nftables table (family ip) of a node. */
  table: string;
  /** nftables table (family ip) of a node: which pods may reach each other. */
  policyTable: string;
  /** nftables table (family bridge) of a node: what may leave a pod's interface. */
  guardTable: string;
  /** Bridge on the host that the nodes' namespaces hang on, when there are several nodes. */
  nodeBridge: string;
  /** nftables table (family ip) on the host that gives those namespaces a way out. */
  nodeTable: string;
  /** Interface that carries the addresses of load balancers. */
  balancerLink: string;
  /** Network namespace of a node. */
  namespace(node: string): string;
  /** The host's end of a node's cable. */
  cable(index: number): string;
}

export const networkNames = (instance: string): NetworkNames => ({
  podBridge: `cap${instance}`,
  table: `capstan_${instance}`,
  policyTable: `capstan_${instance}_policy`,
  guardTable: `capstan_${instance}_guard`,
  nodeBridge: `capn${instance}`,
  nodeTable: `capstan_${instance}_nodes`,
  balancerLink: `capl${instance}`,
  namespace: (node) => `capstan-${instance}-${node}`,
  cable: (index) => `capv${instance}${index}`,
});
