/** EndpointSlices: addresses of a service, a hundred or so a slice. */
import type {
  Endpoint,
  EndpointHints,
  DiscoveryV1EndpointPort as EndpointPort,
  EndpointSlice,
} from "#sdk/api/generated/types.ts";
import { validateLabels } from "#sdk/api/labels.ts";
import { isDNS1123Label, isDNS1123Subdomain, isLabelValue, isQualifiedName } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, duplicate, invalidValue, notSupported, required, tooMany } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import { specChanged } from "../../registry/meta.ts";
import type { Strategy } from "../../registry/strategy.ts";

import { isIPv4, isIPv6, validateCanonicalIP, validateEndpointIP, validateIP } from "../addresses.ts";
import { as } from "../as.ts";
import { each, immutable, oneOf, same, subdomain } from "../checks.ts";

const ADDRESS_TYPES = ["FQDN", "IPv4", "IPv6"];
const PROTOCOLS = ["SCTP", "TCP", "UDP"];
const HOSTNAME_LABEL = "kubernetes.io/hostname";
const ENDPOINTS_MAX = 1000;
const ADDRESSES_MAX = 100;
const TOPOLOGY_MAX = 16;
const HINTS_MAX = 8;
const PORTS_MAX = 20_000;

function validate(slice: EndpointSlice): Causes {
  const causes: Causes = [];
  const { addressType, endpoints } = slice;
  if (!addressType) causes.push(required("addressType"));
  else if (!ADDRESS_TYPES.includes(addressType)) causes.push(notSupported("addressType", addressType, ADDRESS_TYPES));
  return [...causes, ...validatePorts(slice.ports ?? []), ...validateEndpoints(endpoints ?? [], addressType)];
}

function validateAddressOf(address: string, type: string | undefined, at: string, field: string): Causes {
  if (type === "FQDN") return validateDomain(address, field);
  if (type !== "IPv4" && type !== "IPv6") return [];
  const wrong = type === "IPv4" ? validateIP(address, field) : validateCanonicalIP(address, field);
  if (wrong.length > 0) return wrong;
  const isOf = type === "IPv4" ? isIPv4 : isIPv6;
  const other = isOf(address) ? [] : [invalidValue(at, address, `must be an ${type} address`)];
  return [...other, ...validateEndpointIP(address, field)];
}

/** A name of two parts at least, each fit for DNS; a last dot is let pass. */
function validateDomain(given: string, field: string): Causes {
  if (given === "") return [required(field)];
  const name = given.endsWith(".") ? given.slice(0, -1) : given;
  const wrong = isDNS1123Subdomain(name);
  if (wrong.length > 0) return [invalidValue(field, name, wrong.join(","))];
  const labels = name.split(".");
  if (labels.length < 2)
    return [invalidValue(field, name, "should be a domain with at least two segments separated by dots")];
  return labels.flatMap((label) => {
    const messages = isDNS1123Label(label);
    return messages.length > 0 ? [invalidValue(field, label, messages.join(","))] : [];
  });
}

function validateEndpoints(endpoints: readonly Endpoint[], addressType: string | undefined): Causes {
  if (endpoints.length > ENDPOINTS_MAX) return [tooMany("endpoints", endpoints.length, ENDPOINTS_MAX)];
  return endpoints.flatMap(({ addresses, nodeName, hostname, deprecatedTopology, hints }, i) => {
    const at = `endpoints[${i}]`;
    const count = addresses?.length ?? 0;
    const topology = Object.keys(deprecatedTopology ?? {}).length;
    return [
      ...(count === 0 ? [required(`${at}.addresses`, "must contain at least 1 address")] : []),
      ...(count > ADDRESSES_MAX ? [tooMany(`${at}.addresses`, count, ADDRESSES_MAX)] : []),
      ...(addresses ?? []).flatMap((address, j) =>
        validateAddressOf(address, addressType, `${at}.addresses`, `${at}.addresses[${j}]`),
      ),
      ...(nodeName === undefined ? [] : subdomain(nodeName, `${at}.nodeName`)),
      ...(topology > TOPOLOGY_MAX ? [tooMany(`${at}.deprecatedTopology`, topology, TOPOLOGY_MAX)] : []),
      ...validateLabels(deprecatedTopology, `${at}.deprecatedTopology`),
      ...(hostname === undefined ? [] : each(isDNS1123Label(hostname), `${at}.hostname`, hostname)),
      ...(hints ? validateHints(hints, `${at}.hints`) : []),
    ];
  });
}

function validateHints({ forZones = [], forNodes = [] }: EndpointHints, at: string): Causes {
  const named = (list: readonly { name?: string }[], field: string, check: (name: string) => string[]): Causes => {
    if (list.length > HINTS_MAX) return [tooMany(field, list.length, HINTS_MAX)];
    const names = list.map(({ name = "" }) => name);
    return names.flatMap((name, i) => [
      ...(names.indexOf(name) < i ? [duplicate(`${field}[${i}].name`, name)] : []),
      ...each(check(name), `${field}[${i}].name`, name),
    ]);
  };
  return [...named(forZones, `${at}.forZones`, isLabelValue), ...named(forNodes, `${at}.forNodes`, isDNS1123Subdomain)];
}

function validatePorts(ports: readonly EndpointPort[]): Causes {
  if (ports.length > PORTS_MAX) return [tooMany("ports", ports.length, PORTS_MAX)];
  const names = ports.map(({ name = "" }) => name);
  return ports.flatMap(({ name = "", protocol, appProtocol }, i) => {
    const at = `ports[${i}]`;
    return [
      ...(name === "" ? [] : each(isDNS1123Label(name), `${at}.name`, name)),
      ...(names.indexOf(name) < i ? [duplicate(`${at}.name`, name)] : []),
      ...oneOf(protocol, `${at}.protocol`, PROTOCOLS),
      ...(appProtocol === undefined ? [] : each(isQualifiedName(appProtocol), `${at}.appProtocol`, appProtocol)),
    ];
  });
}

/** The older place of an endpoint's node and zone is not written any more; a node that it named is kept. */
function dropTopology(slice: EndpointSlice, old?: EndpointSlice): void {
  if (old && same(slice.endpoints, old.endpoints)) return;
  const known = new Set((old?.endpoints ?? []).map((e) => e.deprecatedTopology?.[HOSTNAME_LABEL]));
  for (const endpoint of slice.endpoints ?? []) {
    const node = endpoint.deprecatedTopology?.[HOSTNAME_LABEL];
    if (endpoint.nodeName === undefined && node && known.has(node) && isDNS1123Subdomain(node).length === 0)
      endpoint.nodeName = node;
    delete endpoint.deprecatedTopology;
  }
}

export const endpointSliceStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: true,
    prepareForCreate: (object) => dropTopology(as<EndpointSlice>(object)),
    prepareForUpdate(next, old) {
      // Counted before anything is dropped: what was asked for is a change.
      if (specChanged(next, old) || !same(next.metadata.labels, old.metadata.labels))
        next.metadata.generation = (old.metadata.generation ?? 0) + 1;
      dropTopology(as<EndpointSlice>(next), as<EndpointSlice>(old));
    },
    applyDefaults(object) {
      for (const port of as<EndpointSlice>(object).ports ?? []) {
        port.name ??= "";
        port.protocol ??= "TCP";
      }
    },
    validate: (object) => validate(as<EndpointSlice>(object)),
    validateUpdate: (next, old) => [
      // Endpoints that are what they were stay, whatever is asked of new ones.
      ...validate(as<EndpointSlice>(next)).filter(
        ({ field }) =>
          !field?.startsWith("endpoints") || !same(as<EndpointSlice>(next).endpoints, as<EndpointSlice>(old).endpoints),
      ),
      ...immutable("addressType", as<EndpointSlice>(next).addressType, as<EndpointSlice>(old).addressType),
    ],
  });
