/** Endpoints: the older list of a service's addresses. */
import type { EndpointAddress, EndpointSubset, Endpoints } from "#sdk/api/generated/types.ts";
import { isDNS1123Label, isDNS1123Subdomain, isPortNumber, isQualifiedName } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, required } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { validateEndpointIP, validateIP } from "../../addresses.ts";
import { as } from "../../as.ts";
import { chosen, each, same } from "../../checks.ts";

const PROTOCOLS = ["SCTP", "TCP", "UDP"];

const validateAddress = ({ ip = "", hostname, nodeName }: EndpointAddress, at: string): Causes => [
  ...validateIP(ip, `${at}.ip`),
  ...(hostname ? each(isDNS1123Label(hostname), `${at}.hostname`, hostname) : []),
  ...(nodeName === undefined ? [] : each(isDNS1123Subdomain(nodeName), `${at}.nodeName`, nodeName)),
  ...validateEndpointIP(ip, `${at}.ip`),
];

function validatePorts(ports: NonNullable<EndpointSubset["ports"]>, path: string): Causes {
  return ports.flatMap(({ name, port = 0, protocol, appProtocol }, i) => {
    const at = `${path}[${i}]`;
    const unnamed = ports.length > 1 ? [required(`${at}.name`)] : [];
    return [
      ...(name ? each(isDNS1123Label(name), `${at}.name`, name) : unnamed),
      ...each(isPortNumber(port), `${at}.port`, port),
      ...chosen(protocol, `${at}.protocol`, PROTOCOLS),
      ...(appProtocol === undefined ? [] : each(isQualifiedName(appProtocol), `${at}.appProtocol`, appProtocol)),
    ];
  });
}

const validateSubsets = ({ subsets = [] }: Endpoints): Causes =>
  subsets.flatMap(({ addresses = [], notReadyAddresses = [], ports = [] }, i) => {
    const at = `subsets[${i}]`;
    const none = addresses.length === 0 && notReadyAddresses.length === 0;
    return [
      ...(none ? [required(at, "must specify `addresses` or `notReadyAddresses`")] : []),
      ...addresses.flatMap((address, j) => validateAddress(address, `${at}.addresses[${j}]`)),
      ...notReadyAddresses.flatMap((address, j) => validateAddress(address, `${at}.notReadyAddresses[${j}]`)),
      ...validatePorts(ports, `${at}.ports`),
    ];
  });

export const endpointsStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    allowCreateOnUpdate: true,
    applyDefaults(object) {
      for (const { ports } of as<Endpoints>(object).subsets ?? [])
        for (const port of ports ?? []) port.protocol ||= "TCP";
    },
    validate: (object) => validateSubsets(as<Endpoints>(object)),
    // What was let in before stays as it is.
    validateUpdate: (next, old) =>
      same(as<Endpoints>(next).subsets, as<Endpoints>(old).subsets) ? [] : validateSubsets(as<Endpoints>(next)),
  });
