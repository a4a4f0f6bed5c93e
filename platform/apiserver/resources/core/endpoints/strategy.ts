/** Endpoints: the older list of a service's addresses. */
import { isIP } from "node:net";
import type { EndpointSubset, Endpoints } from "#sdk/api/generated/types.ts";
import { isDNS1123Label, isDNS1123Subdomain, isInRange, isQualifiedName } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue, notSupported, required } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { each } from "../../checks.ts";

const PROTOCOLS = ["SCTP", "TCP", "UDP"];
const NOT_AN_ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

/** Addresses that would reach what the sender's host keeps to itself. */
export function validateAddress(address: string, field: string): Causes {
  if (isIP(address) === 0)
    return [invalidValue(field, address, NOT_AN_ADDRESS), invalidValue(field, address, "must be a valid IP address")];
  if (address === "0.0.0.0" || address === "::")
    return [invalidValue(field, address, "may not be unspecified (0.0.0.0 or ::)")];
  if (address.startsWith("127.") || address === "::1")
    return [invalidValue(field, address, "may not be in the loopback range (127.0.0.0/8, ::1/128)")];
  if (address.startsWith("169.254."))
    return [invalidValue(field, address, "may not be in the link-local range (169.254.0.0/16, fe80::/10)")];
  return [];
}

function validateSubset(subset: EndpointSubset, at: string): Causes {
  const causes: Causes = [];
  if (!subset.addresses?.length && !subset.notReadyAddresses?.length)
    causes.push(required(at, "must specify `addresses` or `notReadyAddresses`"));
  for (const list of ["addresses", "notReadyAddresses"] as const) {
    for (const [i, { ip, hostname, nodeName }] of (subset[list] ?? []).entries()) {
      const of = `${at}.${list}[${i}]`;
      causes.push(...validateAddress(ip ?? "", `${of}.ip`));
      if (hostname) causes.push(...each(isDNS1123Label(hostname), `${of}.hostname`, hostname));
      if (nodeName !== undefined) causes.push(...each(isDNS1123Subdomain(nodeName), `${of}.nodeName`, nodeName));
    }
  }
  const several = (subset.ports?.length ?? 0) > 1;
  for (const [i, port] of (subset.ports ?? []).entries()) {
    const field = `${at}.ports[${i}]`;
    if (!port.name) {
      if (several) causes.push(required(`${field}.name`));
    } else for (const m of isDNS1123Label(port.name)) causes.push(invalidValue(`${field}.name`, port.name, m));
    for (const m of isInRange(port.port ?? 0, 1, 65535)) causes.push(invalidValue(`${field}.port`, port.port ?? 0, m));
    if (port.protocol && !PROTOCOLS.includes(port.protocol))
      causes.push(notSupported(`${field}.protocol`, port.protocol, PROTOCOLS));
    const { appProtocol } = port;
    if (appProtocol !== undefined)
      causes.push(...each(isQualifiedName(appProtocol), `${field}.appProtocol`, appProtocol));
  }
  return causes;
}

export const endpointsStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    allowCreateOnUpdate: true,
    applyDefaults(object) {
      for (const { ports } of as<Endpoints>(object).subsets ?? [])
        for (const port of ports ?? []) port.protocol ||= "TCP";
    },
    validate: (object) => (as<Endpoints>(object).subsets ?? []).flatMap((s, i) => validateSubset(s, `subsets[${i}]`)),
  });
