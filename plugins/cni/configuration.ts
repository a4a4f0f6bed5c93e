/** What the CNI programs are given on stdin (CNI specification 1.0.0, section 1). */
export const CNI_VERSION = "1.0.0";
/** The network's name: the folder of its addresses below the ipam directory. */
export const NETWORK = "capstan";

/** Facts of the node role (config.host), and the plugin's own configuration. */
export interface Settings {
  /** Bridge of this node's pods. */
  bridge: string;
  /** This node's pods. */
  podCIDR: string;
  /** Of the second address family; "" where there is one. */
  secondaryPodCIDR?: string;
  /** Absolute path of the tree "state". */
  cniDir: string;
  mtu: number;
  ipMasq: boolean;
}

export interface CniResult {
  cniVersion?: string;
  interfaces?: { name: string; mac?: string; sandbox?: string }[];
  ips?: { address: string; gateway?: string; interface?: number }[];
  routes?: { dst: string; gw?: string }[];
  dns?: object;
}

export interface PortMapping {
  hostPort: number;
  containerPort: number;
  protocol: string;
  hostIP?: string;
}

const named = (type: string) => ({ cniVersion: CNI_VERSION, name: NETWORK, type });
const previous = (result: CniResult | undefined) => (result ? { prevResult: result } : {});

const rangesOf = ({ podCIDR, secondaryPodCIDR }: Settings): string[] =>
  secondaryPodCIDR ? [podCIDR, secondaryPodCIDR] : [podCIDR];

/** Where host-local keeps taken addresses: one file an address, its owner in it. */
export const ADDRESSES = "ipam";

export const loopbackConfiguration = (result?: CniResult): object => ({ ...named("loopback"), ...previous(result) });

export const bridgeConfiguration = (settings: Settings, result?: CniResult): object => ({
  ...named("bridge"),
  bridge: settings.bridge,
  isGateway: true,
  ipMasq: settings.ipMasq,
  // A pod that reaches itself through a service leaves and comes back by the same port of the bridge.
  hairpinMode: true,
  ...(settings.mtu > 0 ? { mtu: settings.mtu } : {}),
  ipam: {
    type: "host-local",
    dataDir: `${settings.cniDir}/${ADDRESSES}`,
    ranges: rangesOf(settings).map((subnet) => [{ subnet }]),
    routes: rangesOf(settings).map((subnet) => ({ dst: subnet.includes(":") ? "::/0" : "0.0.0.0/0" })),
  },
  ...previous(result),
});

export const portmapConfiguration = (mappings: PortMapping[], result?: CniResult): object => ({
  ...named("portmap"),
  snat: true,
  runtimeConfig: { portMappings: mappings },
  ...previous(result),
});
