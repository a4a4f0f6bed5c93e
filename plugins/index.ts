/** The first-party plugins: folders beside this file. Adding one is a folder and a line. */
export const FIRST_PARTY_PLUGINS = [
  "change-freeze",
  "cni",
  "cri",
  "digest-tokens",
  "haproxy-load-balancer",
  "limit-ranger",
  "node-affinity",
  "node-ports",
  "node-resources",
  "pod-security",
  "runtime-class",
  "taints",
] as const;

/** Installed, and called only when somebody enables them (`kubectl patch plugin NAME --type merge -p '{"spec":{"enabled":true}}'`). */
export const OFF_BY_DEFAULT: ReadonlySet<string> = new Set(["change-freeze", "digest-tokens"]);
