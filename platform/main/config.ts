/** What every role is started with. `up` writes it to DATA/config.json; a role reads it there and nowhere else. */
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { messageOf } from "#platform/base/log.ts";
import type { ServerOptions } from "./server-options.ts";
import { UserError } from "./steps.ts";

export type Engine = "wasmtime" | "jco";

export interface NodeConfig {
  name: string;
  /** Network namespace of this node's agent and containerd; unset: the host's own. */
  netns?: string;
  /** The node's address, where its agent (port kubeletPort) is reached. */
  address: string;
  kubeletPort: number;
  podCIDR: string;
  /** Of the second family, in an instance that has two. `address`: the node's, where its machine has one. */
  secondary?: { podCIDR: string; address?: string };
  /** This node's own containerd: DATA/nodes/NAME/containerd. */
  containerdSocket: string;
  /** The node runs WebAssembly components and nothing else: no containerd, no rights and no network of its own. */
  componentsOnly?: boolean;
}

export interface Config {
  /** Absolute. Everything Capstan keeps is below it. */
  dataDir: string;
  /**
   * Six hexadecimal digits derived from dataDir. Every name that the whole host shares carries it (bridge `capXXXXXX`, nft table
   * `capstan_XXXXXX`, namespaces, cgroups, mounts), so that several instances live on one machine and each removes only its own.
   */
  instance: string;
  api: { host: string; port: number };
  console: { host: string; port: number };
  /** postgres://… with credentials; the file is readable by its owner only. */
  databaseUrl: string;
  /** Set when the embedded PostgreSQL runs. */
  postgres?: { port: number };
  serviceCIDR: string;
  podCIDR: string;
  /** The ranges of the second family (dual stack); absent: there is one. */
  secondary?: { serviceCIDR: string; podCIDR: string };
  dns: { domain: string; address: string };
  engine: Engine;
  nodes: NodeConfig[];
  /** Set on a machine that joined a control plane elsewhere: no API server, database or loops run here. */
  joined?: { server: string };
  /** What `up` was told of the API server's security; absent: the defaults. */
  server?: ServerOptions;
}

/** Services' ranges, the default family's first. */
export const serviceCIDRsOf = ({ serviceCIDR, secondary }: Pick<Config, "serviceCIDR" | "secondary">): string[] => [
  serviceCIDR,
  ...(secondary ? [secondary.serviceCIDR] : []),
];

/** Pods' ranges, the default family's first. */
export const podCIDRsOf = ({ podCIDR, secondary }: Pick<Config, "podCIDR" | "secondary">): string[] => [
  podCIDR,
  ...(secondary ? [secondary.podCIDR] : []),
];

/** File names below dataDir; made by `capstan up` (platform/main/pki.ts), read by the roles. */
export const paths = (dataDir: string) => ({
  config: join(dataDir, "config.json"),
  /** The admin's, with embedded client certificate. */
  kubeconfig: join(dataDir, "kubeconfig"),
  /** Cluster authority: ca.crt, ca.key; apiserver.crt/.key; sa.key/sa.pub (token issuer). */
  pki: join(dataDir, "pki"),
  /** kubeconfig of a role: admin, controllers, scheduler, console (no identity of its own), node-NAME. */
  roleKubeconfig: (role: string) => join(dataDir, "kubeconfigs", `${role}.kubeconfig`),
  /** Compiled components by digest: sha256-HEX.wasm, with manifests in index.json. */
  components: join(dataDir, "components"),
  node: (name: string) => join(dataDir, "nodes", name),
  /** Images, sandboxes and containers that are components. */
  wasm: (name: string) => join(dataDir, "nodes", name, "wasm"),
  logs: join(dataDir, "logs"),
  run: join(dataDir, "run"),
  /** What Node compiled of the roles' code: only ever a copy, which a start can do without. */
  compiled: join(dataDir, "cache", "compiled"),
});

/** Throws UserError where there is no instance, or its file is broken. */
export function readConfig(dataDir: string): Config {
  const { config } = paths(dataDir);
  if (!existsSync(config))
    throw new UserError(`there is no instance in ${dataDir}`, `npm run up -- --data-dir ${dataDir}`);
  try {
    return JSON.parse(readFileSync(config, "utf8")) as Config;
  } catch (error) {
    throw new UserError(
      `${config} cannot be read: ${messageOf(error)}`,
      `mend it, or start anew without its data: rm -r ${dataDir}`,
    );
  }
}
