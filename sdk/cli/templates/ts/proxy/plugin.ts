import { defineProxy } from "#sdk/plugin/define-node.ts";
import * as net from "#sdk/plugin/net.ts";
import type { ServiceEndpoint, ServicePort } from "#sdk/plugin/types.ts";

const services = new Map<string, ServicePort>();
const endpoints = new Map<string, ServiceEndpoint[]>();

function ruleset(): string {
  const rules = [...services.values()].flatMap(({ id, protocol, port, clusterIps }) => {
    const target = endpoints.get(id)?.find(({ ready }) => ready);
    if (!target) return [];
    return clusterIps.map(
      (ip) => `  ip daddr ${ip} ${protocol.toLowerCase()} dport ${port} dnat to ${target.address}:${target.port}`,
    );
  });
  return `chain services {\n  type nat hook prerouting priority dstnat;\n${rules.join("\n")}\n}\n`;
}

export const proxy = defineProxy({
  render({ whole, services: changed, endpoints: changedEndpoints, removed }) {
    if (whole) {
      services.clear();
      endpoints.clear();
    }
    for (const id of removed) {
      services.delete(id);
      endpoints.delete(id);
    }
    for (const service of changed) services.set(service.id, service);
    for (const [id, list] of changedEndpoints) endpoints.set(id, list);
    net.replaceRules(ruleset());
  },
  remove: () => net.replaceRules(""),
});
