/** Validation of a pod's smaller settings: names and resolvers, gates, spreading, host ports, priorities (parts of ValidatePodSpec). */
import { isIP } from "node:net";
import type { HostAlias, PodDNSConfig, PodSpec } from "#sdk/api/generated/types.ts";
import {
  isDNS1123Label,
  isDNS1123Subdomain,
  isDNS1123SubdomainWithUnderscore,
  isQualifiedName,
} from "#sdk/api/names.ts";
import {
  type Causes,
  duplicate,
  forbiddenField,
  invalidValue,
  notSupportedInOrder,
  required,
  tooLongValue,
} from "../../../registry/causes.ts";
import { each } from "../../checks.ts";

const NAMESERVERS_MAX = 3;
const SEARCHES_MAX = 32;
const SEARCH_LIST_CHARACTERS_MAX = 2048;
const NOT_AN_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

const address = (text: string, field: string): Causes =>
  isIP(text) === 0 ? [invalidValue(field, text, NOT_AN_ADDRESS)] : [];
function validateResolver(config: PodDNSConfig | undefined, policy: string | undefined, at: string): Causes {
  if (policy === "None" && !config) return [required(at, "must provide `dnsConfig` when `dnsPolicy` is None")];
  const { nameservers = [], searches = [], options = [] } = config ?? {};
  if (policy === "None" && nameservers.length === 0) {
    const detail = "must provide at least one DNS nameserver when `dnsPolicy` is None";
    return [required(`${at}.nameservers`, detail)];
  }
  const causes: Causes = [];
  if (nameservers.length > NAMESERVERS_MAX)
    causes.push(
      invalidValue(`${at}.nameservers`, nameservers, `must not have more than ${NAMESERVERS_MAX} nameservers`),
    );
  causes.push(...nameservers.flatMap((one, i) => address(one, `${at}.nameservers[${i}]`)));
  if (searches.length > SEARCHES_MAX)
    causes.push(invalidValue(`${at}.searches`, searches, `must not have more than ${SEARCHES_MAX} search paths`));
  if (searches.join(" ").length > SEARCH_LIST_CHARACTERS_MAX) {
    const detail = `must not have more than ${SEARCH_LIST_CHARACTERS_MAX} characters (including spaces) in the search list`;
    causes.push(invalidValue(`${at}.searches`, searches, detail));
  }
  for (const [i, search] of searches.entries()) {
    const plain = search.replace(/\.$/, "");
    if (search !== ".") causes.push(...each(isDNS1123SubdomainWithUnderscore(plain), `${at}.searches[${i}]`, plain));
  }
  for (const [i, { name }] of options.entries())
    if (!name) causes.push(required(`${at}.options[${i}]`, "must not be empty"));
  return causes;
}

const HOSTNAME_BYTES_MAX = 64;
const SUBDOMAINS = ["serviceAccountName", "nodeName", "priorityClassName"] as const;
const LABELS = ["hostname", "subdomain"] as const;
const PREEMPTION_POLICIES = ["PreemptLowerPriority", "Never"];

function validatePreemption(policy: string | undefined, field: string): Causes {
  if (policy === undefined || PREEMPTION_POLICIES.includes(policy)) return [];
  return policy === "" ? [required(field)] : [notSupportedInOrder(field, policy, PREEMPTION_POLICIES)];
}

const validateAliases = (aliases: readonly HostAlias[], at: string): Causes =>
  aliases.flatMap(({ ip = "", hostnames = [] }, i) => [
    ...address(ip, `${at}[${i}].ip`),
    ...hostnames.flatMap((name, j) => each(isDNS1123Subdomain(name), `${at}[${i}].hostnames[${j}]`, name)),
  ]);

function validateGates({ readinessGates = [], schedulingGates = [] }: PodSpec, path: string): Causes {
  const causes = readinessGates.flatMap(({ conditionType = "" }, i) =>
    each(isQualifiedName(conditionType), `${path}.readinessGates[${i}].conditionType`, conditionType),
  );
  const seen = new Set<string>();
  for (const [i, { name = "" }] of schedulingGates.entries()) {
    const at = `${path}.schedulingGates[${i}]`;
    causes.push(...each(isQualifiedName(name), at, name));
    if (seen.has(name)) causes.push(duplicate(at, name));
    seen.add(name);
  }
  return causes;
}

/** On the host's network a port is the host's; a template may leave that to be completed. */
export function validateHostPorts(spec: PodSpec, path: string, pod: boolean): Causes {
  if (!spec.hostNetwork) return [];
  const detail = "must match `containerPort` when `hostNetwork` is true";
  return (spec.containers ?? []).flatMap(({ ports = [] }, i) =>
    ports.flatMap(({ hostPort = 0, containerPort = 0 }, j) =>
      (pod || hostPort !== 0) && hostPort !== containerPort
        ? [invalidValue(`${path}.containers[${i}].ports[${j}].hostPort`, hostPort, detail)]
        : [],
    ),
  );
}

/** How it resolves names and what it waits for. */
export const validateWaits = (spec: PodSpec, path: string): Causes => [
  ...validateResolver(spec.dnsConfig, spec.dnsPolicy, `${path}.dnsConfig`),
  ...validateGates(spec, path),
];

const validateGroup = (group: PodSpec["schedulingGroup"], at: string): Causes => {
  if (!group) return [];
  const { podGroupName: name } = group;
  return name === undefined
    ? [invalidValue(at, null, "must specify one of: `podGroupName`")]
    : each(isDNS1123Subdomain(name), at, name);
};

/** Names that it goes by, and other objects' that it names. */
export function validateNames(spec: PodSpec, path: string): Causes {
  const { runtimeClassName: runtimeClass, preemptionPolicy } = spec;
  return [
    ...SUBDOMAINS.flatMap((field) =>
      spec[field] ? each(isDNS1123Subdomain(spec[field]), `${path}.${field}`, spec[field]) : [],
    ),
    ...LABELS.flatMap((field) =>
      spec[field] ? each(isDNS1123Label(spec[field]), `${path}.${field}`, spec[field]) : [],
    ),
    ...validateAliases(spec.hostAliases ?? [], `${path}.hostAliases`),
    ...(runtimeClass === undefined
      ? []
      : each(isDNS1123Subdomain(runtimeClass), `${path}.runtimeClassName`, runtimeClass)),
    ...validatePreemption(preemptionPolicy, `${path}.preemptionPolicy`),
    ...validateGroup(spec.schedulingGroup, `${path}.schedulingGroup.podGroupName`),
  ];
}

/** A hostname that overrides all others. */
export function validateHostname(spec: PodSpec, path: string): Causes {
  const { hostnameOverride: name } = spec;
  if (name === undefined) return [];
  const at = `${path}.hostnameOverride`;
  return [
    ...(spec.setHostnameAsFQDN ? [forbiddenField(at, "may not be specified when setHostnameAsFQDN is true")] : []),
    ...(spec.hostNetwork ? [forbiddenField(at, "may not be specified when hostNetwork is true")] : []),
    ...(Buffer.byteLength(name) > HOSTNAME_BYTES_MAX ? [tooLongValue(at, HOSTNAME_BYTES_MAX)] : []),
    ...each(isDNS1123Subdomain(name), at, name),
  ];
}
