/** EndpointSlices: addresses of a service, a hundred or so a slice. */
import type { EndpointSlice } from "#sdk/api/generated/types.ts";
import { isDNS1123Subdomain, isInRange } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue, notSupported, required, tooMany } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { immutableField } from "../apps/workloads.ts";
import { as } from "../as.ts";
import { validateAddress } from "../core/endpoints/strategy.ts";

const ADDRESS_TYPES = ["FQDN", "IPv4", "IPv6"];
const ENDPOINTS_MAX = 1000;
const PORTS_MAX = 20_000;

function validate(slice: EndpointSlice): Causes {
  const causes: Causes = [];
  const { addressType, endpoints, ports } = slice;
  if (!addressType) causes.push(required("addressType"));
  else if (!ADDRESS_TYPES.includes(addressType)) causes.push(notSupported("addressType", addressType, ADDRESS_TYPES));
  if ((endpoints?.length ?? 0) > ENDPOINTS_MAX)
    causes.push(tooMany("endpoints", endpoints?.length ?? 0, ENDPOINTS_MAX));
  for (const [i, { addresses }] of (endpoints ?? []).entries()) {
    const at = `endpoints[${i}].addresses`;
    if (!addresses?.length) causes.push(required(at, "must contain at least 1 address"));
    for (const [j, address] of (addresses ?? []).entries()) {
      if (addressType === "FQDN")
        for (const m of isDNS1123Subdomain(address)) causes.push(invalidValue(`${at}[${j}]`, address, m));
      else causes.push(...validateAddress(address, `${at}[${j}]`));
    }
  }
  if ((ports?.length ?? 0) > PORTS_MAX) causes.push(tooMany("ports", ports?.length ?? 0, PORTS_MAX));
  for (const [i, { port }] of (ports ?? []).entries()) {
    if (port !== undefined)
      for (const m of isInRange(port, 1, 65535)) causes.push(invalidValue(`ports[${i}].port`, port, m));
  }
  return causes;
}

export const endpointSliceStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: true,
    applyDefaults(object) {
      for (const port of as<EndpointSlice>(object).ports ?? []) {
        port.name ??= "";
        port.protocol ??= "TCP";
      }
    },
    validate: (object) => validate(as<EndpointSlice>(object)),
    validateUpdate: (next, old) => [
      ...validate(as<EndpointSlice>(next)),
      ...immutableField("addressType", as<EndpointSlice>(next).addressType, as<EndpointSlice>(old).addressType),
    ],
  });
