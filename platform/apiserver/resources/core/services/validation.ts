/** Validation of services with upstream's messages (validateService, ValidateServiceUpdate). */
import type { Service, ServicePort, ServiceSpec } from "#sdk/api/generated/types.ts";
import { validateLabels } from "#sdk/api/labels.ts";
import { isDNS1123Label, isDNS1123Subdomain, isPortName, isPortNumber, isQualifiedName } from "#sdk/api/names.ts";
import {
  type Causes,
  duplicate,
  forbiddenField,
  invalidValue,
  notSupportedInOrder,
  required,
} from "../../../registry/causes.ts";
import { isIPv6, validateCIDR, validateEndpointIP, validateIP } from "../../addresses.ts";
import { chosen, each, oneOf } from "../../checks.ts";

const TYPES = ["ClusterIP", "ExternalName", "LoadBalancer", "NodePort"];
const PROTOCOLS = ["SCTP", "TCP", "UDP"];
const POLICIES = ["Cluster", "Local"];
const DISTRIBUTIONS = ["PreferClose", "PreferSameZone", "PreferSameNode"];
const FAMILIES = ["IPv4", "IPv6"];
const FAMILY_POLICIES = ["PreferDualStack", "RequireDualStack", "SingleStack"];
const AFFINITY_SECONDS_MAX = 86_400;
const HINTS = "service.kubernetes.io/topology-aware-hints";
const TOPOLOGY_MODE = "service.kubernetes.io/topology-mode";
const SOURCE_RANGES = "service.beta.kubernetes.io/load-balancer-source-ranges";
const BALANCED = "may only be used when `type` is 'LoadBalancer'";

const isHeadless = ({ clusterIPs }: ServiceSpec): boolean => clusterIPs?.length === 1 && clusterIPs[0] === "None";

function validatePort(port: ServicePort, at: string, needsName: boolean, names: Set<string>): Causes {
  const { name = "", port: number = 0, protocol, targetPort = 0, appProtocol } = port;
  const causes: Causes = [];
  if (name) {
    causes.push(...each(isDNS1123Label(name), `${at}.name`, name));
    if (names.has(name)) causes.push(duplicate(`${at}.name`, name));
    names.add(name);
  } else if (needsName) causes.push(required(`${at}.name`));
  const target = typeof targetPort === "string" ? isPortName(targetPort) : isPortNumber(targetPort);
  return [
    ...causes,
    ...each(isPortNumber(number), `${at}.port`, number),
    ...chosen(protocol, `${at}.protocol`, PROTOCOLS),
    ...each(target, `${at}.targetPort`, targetPort),
    ...(appProtocol === undefined ? [] : each(isQualifiedName(appProtocol), `${at}.appProtocol`, appProtocol)),
  ];
}

/** The pair that may be there once, as Go prints it. */
const goPair = ({ protocol = "", port = 0 }: ServicePort) => ({
  Name: "",
  Protocol: protocol,
  AppProtocol: null,
  Port: port,
  TargetPort: 0,
  NodePort: 0,
});

function validatePorts({ ports = [], type }: ServiceSpec): Causes {
  const [names, pairs, nodePorts] = [new Set<string>(), new Set<string>(), new Set<string>()];
  return ports.flatMap((port, i) => {
    const at = `spec.ports[${i}]`;
    const causes = validatePort(port, at, ports.length > 1, names);
    const { protocol = "", nodePort } = port;
    if (nodePort) {
      if (type === "ClusterIP")
        causes.push(forbiddenField(`${at}.nodePort`, "may not be used when `type` is 'ClusterIP'"));
      const key = `${protocol}/${nodePort}`;
      if (nodePorts.has(key)) causes.push(duplicate(`${at}.nodePort`, nodePort));
      nodePorts.add(key);
    }
    const pair = `${protocol}/${port.port}`;
    if (pairs.has(pair)) causes.push(duplicate(at, goPair(port)));
    pairs.add(pair);
    return causes;
  });
}

function validateType(spec: ServiceSpec): Causes {
  const { type, clusterIPs = [], externalName = "" } = spec;
  if (type === "LoadBalancer" || type === "NodePort") {
    const detail = `may not be set to 'None' for ${type} services`;
    return isHeadless(spec) ? [invalidValue("spec.clusterIPs[0]", "None", detail)] : [];
  }
  if (type !== "ExternalName") return [];
  const detail = "may not be set for ExternalName services";
  const name = externalName.replace(/\.$/, "");
  return [
    ...(clusterIPs.length > 0 ? [forbiddenField("spec.clusterIPs", detail)] : []),
    ...(spec.ipFamilies?.length ? [forbiddenField("spec.ipFamilies", detail)] : []),
    ...(spec.ipFamilyPolicy === undefined ? [] : [forbiddenField("spec.ipFamilyPolicy", detail)]),
    ...(name ? each(isDNS1123Subdomain(name), "spec.externalName", name) : [required("spec.externalName")]),
  ];
}

function validateAffinity({ sessionAffinity: affinity, sessionAffinityConfig: config }: ServiceSpec): Causes {
  const at = "spec.sessionAffinityConfig";
  const causes = chosen(affinity, "spec.sessionAffinity", ["ClientIP", "None"]);
  if (affinity === "None" && config) causes.push(forbiddenField(at, "must not be set when session affinity is None"));
  if (affinity !== "ClientIP") return causes;
  const when = "when session affinity type is ClientIP";
  if (!config) return [...causes, required(at, when)];
  if (!config.clientIP) return [...causes, required(`${at}.clientIP`, when)];
  const { timeoutSeconds: seconds } = config.clientIP;
  const field = `${at}.clientIP.timeoutSeconds`;
  if (seconds === undefined) return [...causes, required(field, when)];
  if (seconds > 0 && seconds <= AFFINITY_SECONDS_MAX) return causes;
  return [...causes, invalidValue(field, seconds, `must be greater than 0 and less than ${AFFINITY_SECONDS_MAX}`)];
}

function validateClusterIPs({ clusterIPs = [], ipFamilies = [] }: ServiceSpec, old: ServiceSpec | undefined): Causes {
  const at = "spec.clusterIPs";
  const headless = clusterIPs[0] === "None";
  const wrong = clusterIPs.flatMap((address, i) => {
    if (i > 0 || address !== "None") return validateIP(address, `${at}[${i}]`, old?.clusterIPs);
    return clusterIPs.length > 1 ? [invalidValue(at, clusterIPs, "'None' must be the first and only value")] : [];
  });
  const many = clusterIPs.length > 2 ? [invalidValue(at, clusterIPs, "may only hold up to 2 values")] : [];
  if (wrong.length > 0) return [...wrong, ...many];
  const dual = new Set(clusterIPs.map(isIPv6)).size === 2;
  const families = headless
    ? []
    : clusterIPs.flatMap((address, i) => {
        const family = ipFamilies[i];
        if (!FAMILIES.includes(family ?? "") || isIPv6(address) === (family === "IPv6")) return [];
        return [
          invalidValue(`${at}[${i}]`, address, `expected an ${family} value as indicated by \`ipFamilies[${i}]\``),
        ];
      });
  return [
    ...many,
    ...(clusterIPs.length > 1 && !dual
      ? [invalidValue(at, clusterIPs, "may specify no more than one IP for each IP family")]
      : []),
    ...families,
  ];
}

/** Addresses and families (ValidateServiceClusterIPsRelatedFields). */
export function validateFamilies(spec: ServiceSpec, old: ServiceSpec | undefined): Causes {
  if (spec.type === "ExternalName") return [];
  const { clusterIP = "", clusterIPs = [], ipFamilies = [], ipFamilyPolicy: policy } = spec;
  const at = "spec.clusterIPs";
  const causes: Causes = [];
  if (clusterIP) {
    if (clusterIPs.length === 0) causes.push(required(at));
    else if (clusterIPs[0] !== clusterIP)
      causes.push(invalidValue(at, clusterIPs, "first value must match `clusterIP`"));
  } else if (clusterIPs.length > 0)
    causes.push(invalidValue(at, clusterIPs, "must be empty when `clusterIP` is not specified"));
  for (const [i, family] of ipFamilies.entries()) {
    const field = `spec.ipFamilies[${i}]`;
    causes.push(...oneOf(family, field, FAMILIES));
    if (ipFamilies.indexOf(family) < i) causes.push(duplicate(field, family));
  }
  return [...causes, ...oneOf(policy, "spec.ipFamilyPolicy", FAMILY_POLICIES), ...validateClusterIPs(spec, old)];
}

function validateExternalIPs({ externalIPs = [] }: ServiceSpec, old: ServiceSpec | undefined): Causes {
  return externalIPs.flatMap((address, i) => {
    const field = `spec.externalIPs[${i}]`;
    const causes = validateIP(address, field, old?.externalIPs);
    return causes.length > 0 ? causes : validateEndpointIP(address, field);
  });
}

function validateSourceRanges(service: Service, old: Service | undefined): Causes {
  const { loadBalancerSourceRanges: ranges = [], type } = service.spec ?? {};
  const unfit = (field: string) => (type === "LoadBalancer" ? [] : [forbiddenField(field, BALANCED)]);
  const trimmed = (list: readonly string[]) => list.map((range) => range.trim());
  if (ranges.length > 0) {
    const at = "spec.LoadBalancerSourceRanges";
    const before = trimmed(old?.spec?.loadBalancerSourceRanges ?? []);
    return [...unfit(at), ...trimmed(ranges).flatMap((range, i) => validateCIDR(range, `${at}[${i}]`, before))];
  }
  const annotation = service.metadata?.annotations?.[SOURCE_RANGES];
  if (annotation === undefined) return [];
  const field = `metadata.annotations[${SOURCE_RANGES}]`;
  const known = annotation.trim() === "" || old?.metadata?.annotations?.[SOURCE_RANGES] === annotation;
  const list = known ? [] : trimmed(annotation.trim().split(","));
  return [...unfit(field), ...list.flatMap((range) => validateCIDR(range, field))];
}

function validateClass({ type, loadBalancerClass: name }: ServiceSpec): Causes {
  if (name === undefined) return [];
  const field = "spec.loadBalancerClass";
  return type === "LoadBalancer" ? each(isQualifiedName(name), field, name) : [forbiddenField(field, BALANCED)];
}

/** Whether clients outside the cluster may come. */
export const isReachable = ({ type, externalIPs }: ServiceSpec): boolean =>
  type === "LoadBalancer" || type === "NodePort" || (type === "ClusterIP" && (externalIPs?.length ?? 0) > 0);

function validateTraffic(spec: ServiceSpec): Causes {
  const { type, externalTrafficPolicy: external, internalTrafficPolicy: internal, healthCheckNodePort: port } = spec;
  const causes: Causes = [];
  const detail = "may only be set for externally-accessible services";
  if (isReachable(spec)) causes.push(...chosen(external, "spec.externalTrafficPolicy", POLICIES));
  else if (external) causes.push(invalidValue("spec.externalTrafficPolicy", external, detail));
  const field = "spec.healthCheckNodePort";
  if (port && type === "LoadBalancer" && external === "Local") causes.push(...each(isPortNumber(port), field, port));
  else if (port) {
    const only = "may only be set when `type` is 'LoadBalancer' and `externalTrafficPolicy` is 'Local'";
    causes.push(invalidValue(field, port, only));
  }
  if (internal === undefined && (type === "ClusterIP" || type === "NodePort" || type === "LoadBalancer"))
    causes.push(required("spec.internalTrafficPolicy"));
  const { trafficDistribution: distribution } = spec;
  if (distribution !== undefined && !DISTRIBUTIONS.includes(distribution))
    causes.push(notSupportedInOrder("spec.trafficDistribution", distribution, DISTRIBUTIONS));
  return [...causes, ...oneOf(internal, "spec.internalTrafficPolicy", POLICIES)];
}

function validateAnnotations({ metadata }: Service): Causes {
  const { [HINTS]: hints, [TOPOLOGY_MODE]: mode } = metadata?.annotations ?? {};
  if (hints === undefined || mode === undefined || hints === mode) return [];
  const detail = `must match annotations[${HINTS}] when both are specified`;
  return [invalidValue(`metadata.annotations[${TOPOLOGY_MODE}]`, mode, detail)];
}

export function validateService(service: Service, old?: Service): Causes {
  const spec = service.spec ?? {};
  const { type, ports, allocateLoadBalancerNodePorts: allocates } = spec;
  const portless = isHeadless(spec) || type === "ExternalName";
  return [
    ...validateAnnotations(service),
    ...(ports?.length || portless ? [] : [required("spec.ports")]),
    ...validateType(spec),
    ...validatePorts(spec),
    ...validateLabels(spec.selector, "spec.selector"),
    ...validateAffinity(spec),
    ...validateFamilies(spec, old?.spec),
    ...validateExternalIPs(spec, old?.spec),
    ...chosen(type, "spec.type", TYPES),
    ...validateSourceRanges(service, old),
    ...(allocates !== undefined && type !== "LoadBalancer"
      ? [forbiddenField("spec.allocateLoadBalancerNodePorts", BALANCED)]
      : []),
    ...validateClass(spec),
    ...validateTraffic(spec),
  ];
}

const FIXED = "may not change once set";

/** An address that was given stays; a second one may come and go. */
function validateAddressChange(next: ServiceSpec, old: ServiceSpec): Causes {
  const [now, before] = [next.clusterIPs ?? [], old.clusterIPs ?? []];
  const shown = next.clusterIPs ?? null;
  const at = "spec.clusterIPs";
  if (now.length === before.length)
    return before.flatMap((address, i) => (address === now[i] ? [] : [invalidValue(`${at}[${i}]`, shown, FIXED)]));
  const moved = before.length > 0 && now.length > 0 && now[0] !== before[0];
  const causes = moved ? [invalidValue(`${at}[0]`, shown, FIXED)] : [];
  if (before.length < now.length) return causes;
  if (now.length === 0) causes.push(invalidValue(`${at}[0]`, shown, "primary clusterIP can not be unset"));
  return [...causes, ...validateSecondary(next, now, "clusterIP")];
}

function validateSecondary(next: ServiceSpec, now: readonly string[], what: string): Causes {
  if (now.length !== 1 || next.ipFamilyPolicy === "SingleStack") return [];
  const detail = `must be set to 'SingleStack' when releasing the secondary ${what}`;
  return [invalidValue("spec.ipFamilyPolicy", next.ipFamilyPolicy ?? null, detail)];
}

function validateFamilyChange(next: ServiceSpec, old: ServiceSpec): Causes {
  const [now, before] = [next.ipFamilies ?? [], old.ipFamilies ?? []];
  const at = "spec.ipFamilies[0]";
  if (now.length === before.length)
    return before.flatMap((family, i) => (family === now[i] ? [] : [invalidValue(at, now, FIXED)]));
  const moved = before.length > 0 && now.length > 0 && now[0] !== before[0];
  const causes = moved ? [invalidValue(at, next.clusterIPs ?? null, FIXED)] : [];
  return before.length > now.length ? [...causes, ...validateSecondary(next, now, "ipFamily")] : causes;
}

function validateChanges(next: ServiceSpec, old: ServiceSpec): Causes {
  const causes: Causes = [];
  const [wasHeadless, headless] = [isHeadless(old), isHeadless(next)];
  if (next.type !== "ExternalName" && old.type !== "ExternalName") {
    if (!wasHeadless || !headless) causes.push(...validateAddressChange(next, old));
    if (!wasHeadless && !headless) causes.push(...validateFamilyChange(next, old));
  }
  const balanced = next.type === "LoadBalancer" && old.type === "LoadBalancer";
  if (balanced && next.loadBalancerClass !== old.loadBalancerClass)
    causes.push(invalidValue("spec.loadBalancerClass", next.loadBalancerClass ?? null, FIXED));
  const local = balanced && next.externalTrafficPolicy === "Local" && old.externalTrafficPolicy === "Local";
  if (local && (next.healthCheckNodePort ?? 0) !== (old.healthCheckNodePort ?? 0))
    causes.push(forbiddenField("spec.healthCheckNodePort", "field is immutable"));
  return [...causes, ...validateClass(next)];
}

export const validateServiceUpdate = (next: Service, old: Service): Causes => [
  ...validateChanges(next.spec ?? {}, old.spec ?? {}),
  ...validateService(next, old),
];
