/** The first-party plugins: folders beside this file. Adding one is a folder and a line. */
export const FIRST_PARTY_PLUGINS = [
  "always-pull-images",
  "balanced-allocation",
  "change-freeze",
  "claim-resize",
  "cni",
  "cri",
  "default-ingress-class",
  "default-storage-class",
  "deny-external-ips",
  "digest-tokens",
  "extended-resource-toleration",
  "haproxy-load-balancer",
  "image-locality",
  "limit-anti-affinity",
  "limit-ranger",
  "node-affinity",
  "node-ports",
  "node-resources",
  "node-restriction",
  "pod-affinity",
  "pod-node-selector",
  "pod-security",
  "runtime-class",
  "taints",
  "topology-spread",
] as const;

/** Installed, and called only when somebody enables them (`kubectl patch plugin NAME --type merge -p '{"spec":{"enabled":true}}'`). */
export const OFF_BY_DEFAULT: ReadonlySet<string> = new Set([
  "always-pull-images",
  "change-freeze",
  "deny-external-ips",
  "digest-tokens",
  "extended-resource-toleration",
  "limit-anti-affinity",
  "pod-node-selector",
]);
