/** From services and endpoints to the text that nft reads. */
import type { ServiceEndpoint, ServicePort } from "#sdk/plugin/types.ts";

export const TABLE = "capstan_example_services";

/** What the node says of itself. */
export interface NodeFacts {
  /** Of this node's pods. */
  podCIDR?: string;
}

const isIPv4 = (address: string): boolean => /^[\d.]+$/.test(address);

/** Ready ones, those for this node where hints say so; where none is ready, those that end and still serve. */
export function chosen(endpoints: readonly ServiceEndpoint[], localOnly: boolean): ServiceEndpoint[] {
  const all = endpoints.filter(({ address, isLocal }) => isIPv4(address) && (isLocal || !localOnly));
  const ready = all.filter((endpoint) => endpoint.ready);
  const preferred = localOnly ? [] : ready.filter((endpoint) => endpoint.preferred);
  if (preferred.length > 0) return preferred;
  return ready.length > 0 ? ready : all.filter(({ serving, terminating }) => serving && terminating);
}

/** `dnat to …` of one endpoint in turn, or of the same for a client; undefined: there is none. */
function target(service: ServicePort, endpoints: readonly ServiceEndpoint[], localOnly: boolean): string | undefined {
  const list = chosen(endpoints, localOnly);
  if (list.length === 0) return undefined;
  const choice = service.affinitySeconds > 0 ? "jhash ip saddr" : "numgen random";
  const map = list.map(({ address, port }, i) => `${i} : ${address} . ${port}`).join(", ");
  return `dnat ip to ${choice} mod ${list.length} map { ${map} }`;
}

function rulesOf(service: ServicePort, endpoints: readonly ServiceEndpoint[]): string[] {
  const { port, nodePort, clusterIps, externalIps, loadBalancerIps, sourceRanges } = service;
  const protocol = service.protocol.toLowerCase();
  const inside = target(service, endpoints, service.internalLocal);
  const outside = target(service, endpoints, service.externalLocal);
  const ranges = sourceRanges.filter((range) => isIPv4(range.split("/")[0] ?? ""));
  const from = sourceRanges.length > 0 ? `ip saddr { ${ranges.join(", ") || "255.255.255.255"} } ` : "";
  const to = (addresses: readonly string[], condition: string, where: string | undefined) =>
    where === undefined
      ? []
      : addresses.filter(isIPv4).map((ip) => `${condition}ip daddr ${ip} ${protocol} dport ${port} ${where}`);
  return [
    ...to(clusterIps, "", inside),
    ...to(externalIps, "", outside),
    ...to(loadBalancerIps, from, outside),
    ...(nodePort > 0 && outside ? [`fib daddr type local ${protocol} dport ${nodePort} ${outside}`] : []),
  ];
}

const chain = (name: string, rules: readonly string[]): string =>
  `  chain ${name} {\n${rules.map((rule) => `    ${rule}\n`).join("")}  }\n`;

export function rulesetOf(
  services: ReadonlyMap<string, ServicePort>,
  endpoints: ReadonlyMap<string, ServiceEndpoint[]>,
  { podCIDR }: NodeFacts,
): string {
  const rules = [...services.values()].flatMap((service) => rulesOf(service, endpoints.get(service.id) ?? []));
  const local = [...endpoints.values()].flat().filter(({ isLocal, address }) => isLocal && isIPv4(address));
  const own = [...new Set(local.map(({ address }) => `${address} . ${address}`))];
  const text = [
    `  set own {\n    type ipv4_addr . ipv4_addr;\n${own.length > 0 ? `    elements = { ${own.join(", ")} }\n` : ""}  }\n`,
    chain("services", rules),
    chain("arriving", ["type nat hook prerouting priority dstnat;", "jump services"]),
    chain("leaving", ["type nat hook output priority -100;", "jump services"]),
    chain("after", [
      "type nat hook postrouting priority srcnat;",
      // Answers must come back through here: to a pod that asked itself, and to who is no pod of this node.
      "ct status dnat ip saddr . ip daddr @own masquerade",
      ...(podCIDR ? [`ct status dnat ip saddr != ${podCIDR} masquerade`] : ["ct status dnat masquerade"]),
    ]),
  ].join("");
  return `table ip ${TABLE} {}\ndelete table ip ${TABLE}\ntable ip ${TABLE} {\n${text}}\n`;
}
