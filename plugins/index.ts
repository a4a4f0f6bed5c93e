/** The first-party plugins: folders beside this file. Adding one is a folder and a line. */
export const FIRST_PARTY_PLUGINS = [
  "cni",
  "cri",
  "haproxy-load-balancer",
  "limit-ranger",
  "node-affinity",
  "node-ports",
  "node-resources",
  "taints",
] as const;
