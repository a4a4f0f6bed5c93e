/** Validation of services with upstream's messages (ValidateService). */
import { isIPv4 } from "node:net";
import type { Service, ServicePort, ServiceSpec } from "#sdk/api/generated/types.ts";
import { validateLabels } from "#sdk/api/labels.ts";
import { isDNS1123Label, isDNS1123Subdomain, isInRange, isPortName } from "#sdk/api/names.ts";
import {
  type Causes,
  duplicate,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
} from "../../../registry/causes.ts";

import { chosen, oneOf } from "../../checks.ts";

const TYPES = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS = ["SCTP", "TCP", "UDP"];
const each = (messages: string[], field: string, value: unknown): Causes =>
  messages.map((m) => invalidValue(field, value, m));

function validatePort(port: ServicePort, at: string, needsName: boolean, names: Set<string>): Causes {
  const causes: Causes = [];
  if (!port.name) {
    if (needsName) causes.push(required(`${at}.name`));
  } else {
    causes.push(...each(isDNS1123Label(port.name), `${at}.name`, port.name));
    if (names.has(port.name)) causes.push(duplicate(`${at}.name`, port.name));
    names.add(port.name);
  }
  causes.push(...each(isInRange(port.port ?? 0, 1, 65535), `${at}.port`, port.port ?? 0));
  if (!port.protocol) causes.push(required(`${at}.protocol`));
  else if (!PROTOCOLS.includes(port.protocol)) causes.push(notSupported(`${at}.protocol`, port.protocol, PROTOCOLS));
  const target = port.targetPort ?? port.port ?? 0;
  if (typeof target === "string") causes.push(...each(isPortName(target), `${at}.targetPort`, target));
  else causes.push(...each(isInRange(target, 1, 65535), `${at}.targetPort`, target));
  return causes;
}

function validatePorts(service: Service): Causes {
  const { spec } = service;
  const ports = spec?.ports ?? [];
  const causes: Causes = [];
  const names = new Set<string>();
  const seen = new Set<string>();
  for (const [i, port] of ports.entries()) {
    const at = `spec.ports[${i}]`;
    causes.push(...validatePort(port, at, ports.length > 1, names));
    const key = `${port.protocol}/${port.port}`;
    if (seen.has(key)) causes.push(duplicate(at, { protocol: port.protocol, port: port.port }));
    seen.add(key);
    if (port.nodePort && spec?.type === "ClusterIP")
      causes.push(forbiddenField(`${at}.nodePort`, "may not be used when `type` is 'ClusterIP'"));
    if (port.nodePort && spec?.type !== "ClusterIP" && (port.nodePort < 30_000 || port.nodePort > 32_767)) {
      causes.push(
        invalidValue(
          `${at}.nodePort`,
          port.nodePort,
          "provided port is not in the valid range. The range of valid ports is 30000-32767",
        ),
      );
    }
  }
  return causes;
}

export function validateService(service: Service): Causes {
  const causes: Causes = [];
  const spec = service.spec ?? {};
  if (!spec.ports?.length && spec.clusterIP !== "None" && spec.type !== "ExternalName")
    causes.push(required("spec.ports"));
  if (spec.type === "ExternalName") {
    const name = (spec.externalName ?? "").replace(/\.$/, "");
    if (name) causes.push(...each(isDNS1123Subdomain(name), "spec.externalName", name));
    else causes.push(required("spec.externalName"));
  }
  causes.push(...validatePorts(service));
  causes.push(...validateLabels(spec.selector, "spec.selector"));
  const affinity = spec.sessionAffinity;
  if (!affinity) causes.push(required("spec.sessionAffinity"));
  else if (!["ClientIP", "None"].includes(affinity))
    causes.push(notSupported("spec.sessionAffinity", affinity, ["ClientIP", "None"]));
  if (spec.type && !TYPES.includes(spec.type)) causes.push(notSupported("spec.type", spec.type, TYPES));
  if (spec.clusterIP && spec.clusterIP !== "None" && !isIPv4(spec.clusterIP)) {
    causes.push(
      invalidValue(
        "spec.clusterIPs[0]",
        spec.clusterIP,
        "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)",
      ),
    );
  }
  return [...causes, ...validateTraffic(spec)];
}

const POLICIES = ["Cluster", "Local"];
const DISTRIBUTIONS = ["PreferClose", "PreferSameNode", "PreferSameZone"];

/** Whether clients outside the cluster may come. */
export const isReachable = ({ type, externalIPs }: ServiceSpec): boolean =>
  type === "LoadBalancer" || type === "NodePort" || (type === "ClusterIP" && (externalIPs?.length ?? 0) > 0);

function validateTraffic(spec: ServiceSpec): Causes {
  const { type, externalTrafficPolicy: external, internalTrafficPolicy: internal, healthCheckNodePort: port } = spec;
  const causes: Causes = [];
  if (isReachable(spec)) causes.push(...chosen(external, "spec.externalTrafficPolicy", POLICIES));
  else if (external)
    causes.push(
      invalidValue("spec.externalTrafficPolicy", external, "may only be set for externally-accessible services"),
    );
  if (port && !(type === "LoadBalancer" && external === "Local")) {
    const detail = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
    causes.push(invalidValue("spec.healthCheckNodePort", port, detail));
  }
  return [
    ...causes,
    ...oneOf(internal, "spec.internalTrafficPolicy", POLICIES),
    ...oneOf(spec.trafficDistribution, "spec.trafficDistribution", DISTRIBUTIONS),
  ];
}

export function validateServiceUpdate(next: Service, old: Service): Causes {
  const causes: Causes = [];
  const [spec, before] = [next.spec, old.spec];
  const addressed = before?.type !== "ExternalName" && spec?.type !== "ExternalName";
  if (addressed && before?.clusterIP && spec?.clusterIP !== before.clusterIP) {
    causes.push(invalidValue("spec.clusterIPs[0]", spec?.clusterIPs ?? null, "may not change once set"));
  }
  return [...causes, ...validateService(next)];
}
