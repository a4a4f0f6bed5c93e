/** Services: defaults, validation, and addresses and node ports from their ranges. */
import { borrowsApiAddress } from "#platform/rules/api-service.ts";
import { canonicalAddress, nthAddress, parseRange, type Range, rangeSize } from "#platform/rules/ranges.ts";
import type { LedgerChange } from "#platform/store/port.ts";
import { ROOT_TENANT } from "#platform/store/port.ts";
import type { Service, ServicePort, ServiceSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { invalid, type StatusError } from "#sdk/api/status.ts";
import { invalidValue } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import { nameIsDNSLabel } from "../../../registry/names.ts";
import type { Effects, EffectsRequest, Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import {
  completeFamilies,
  dropOfOtherTypes,
  keepAllocated,
  NODE_PORTS,
  needsHealthCheck,
  needsNodePorts,
  normalizeAddresses,
  rangeFor,
  validateRequests,
} from "./families.ts";
import { isReachable, validateService, validateServiceUpdate } from "./validation.ts";

const KIND = { group: "", kind: "Service" };
const hasAddress = (spec: ServiceSpec) => spec.type !== "ExternalName" && spec.clusterIP !== "None";

const AFFINITY_SECONDS = 10_800;
const INTERNAL_TYPES = ["ClusterIP", "NodePort", "LoadBalancer"];

export function defaultService(service: Service): void {
  service.spec ??= {};
  const { spec } = service;
  spec.sessionAffinity ||= "None";
  spec.type ||= "ClusterIP";
  if (spec.sessionAffinity === "None") delete spec.sessionAffinityConfig;
  if (spec.sessionAffinity === "ClientIP" && spec.sessionAffinityConfig?.clientIP?.timeoutSeconds === undefined)
    spec.sessionAffinityConfig = { clientIP: { timeoutSeconds: AFFINITY_SECONDS } };
  for (const port of spec.ports ?? []) {
    port.protocol ||= "TCP";
    if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === "") port.targetPort = port.port;
  }
  if (isReachable(spec)) spec.externalTrafficPolicy ||= "Cluster";
  if (INTERNAL_TYPES.includes(spec.type)) spec.internalTrafficPolicy ??= "Cluster";
  if (spec.type === "LoadBalancer") spec.allocateLoadBalancerNodePorts ??= true;
}

function rangeOf(cidr: string): Range {
  const range = parseRange(cidr);
  if (!range) throw new Error(`the services' range ${cidr} is none`);
  return range;
}

/** More addresses of a range than these are never chosen from: a random number has 52 bits. */
const SPAN_MAX = 2 ** 48;

/** Static addresses are asked for in the lower part (KEP-3070); what the server chooses comes from above it. */
function chooseAddress(range: Range): string {
  const whole = rangeSize(range);
  const size = whole < BigInt(SPAN_MAX) ? Number(whole) : SPAN_MAX;
  const reserved = Math.min(Math.max(16, Math.floor(size / 16)), 256, Math.floor(size / 2));
  const span = size - 1 - reserved;
  return nthAddress(range, BigInt(reserved + Math.floor(Math.random() * Math.max(1, span))));
}

const hold = (ledger: string, takes: boolean): LedgerChange => ({
  tenant: ROOT_TENANT,
  ledger,
  delta: { used: takes ? 1 : -1 },
  enforce: takes,
  limits: takes ? { used: 1 } : null,
});

const addressLedger = (address: string) => `ip/${canonicalAddress(address)}`;
const portLedger = (port: ServicePort) => `nodeport/${port.protocol ?? "TCP"}/${port.nodePort}`;
const choosePort = () => NODE_PORTS.min + Math.floor(Math.random() * (NODE_PORTS.max - NODE_PORTS.min + 1));
/** The port at which nodes tell balancers whether they have the service's pods. */
const HEALTH_CHECK = (port: number): ServicePort => ({ port: 0, protocol: "TCP", nodePort: port });

/** The ledgers of the addresses that a service holds, for itself alone. */
function addressesOf(service: Service | undefined, isRoots: boolean, serviceCIDR: string): Set<string> {
  const spec = service?.spec;
  const own = spec && hasAddress(spec) && !borrowsApiAddress(service, isRoots, serviceCIDR);
  if (!own) return new Set();
  return new Set((spec.clusterIPs ?? [spec.clusterIP ?? ""]).filter(Boolean).map(addressLedger));
}

function portsOf(service: Service | undefined): Map<string, ServicePort> {
  const { ports = [], healthCheckNodePort: check } = service?.spec ?? {};
  const all = [...ports, ...(check ? [HEALTH_CHECK(check)] : [])];
  return new Map(all.filter((p) => p.nodePort).map((p) => [portLedger(p), p]));
}

/** Addresses and node ports are ledgers with room for one: whoever writes first has them. */
async function effects(request: EffectsRequest, serviceCIDRs: readonly string[]): Promise<Effects> {
  const [serviceCIDR = ""] = serviceCIDRs;
  const service = request.operation === "delete" ? undefined : as<Service>(request.object);
  const old = request.old && as<Service>(request.old);
  const chosen = new Set<string>();
  if (service?.spec && request.subresource === "") allocate(service.spec, serviceCIDRs.map(rangeOf), chosen);
  const ledgers: LedgerChange[] = [];
  const isRoots = request.context.tenant === ROOT_TENANT;
  const [had, has] = [addressesOf(old, isRoots, serviceCIDR), addressesOf(service, isRoots, serviceCIDR)];
  for (const address of has) if (!had.has(address)) ledgers.push(hold(address, true));
  for (const address of had) if (!has.has(address)) ledgers.push(hold(address, false));
  const [hadPorts, hasPorts] = [portsOf(old), portsOf(service)];
  for (const key of hasPorts.keys()) if (!hadPorts.has(key)) ledgers.push(hold(key, true));
  for (const key of hadPorts.keys()) if (!hasPorts.has(key)) ledgers.push(hold(key, false));
  return {
    ledgers,
    refused(result) {
      if (result.why !== "ledger" || !service?.spec) return undefined;
      const ledger = ledgers[result.ledger]?.ledger ?? "";
      if (!chosen.has(ledger)) return taken(service, ledger);
      // Everything chosen is chosen anew at the next attempt, which the registry bounds.
      for (const own of chosen) release(service.spec, own);
      return undefined;
    },
  };
}

/** An address of each family that the service has and no address of. */
function allocateAddresses(spec: ServiceSpec, ranges: readonly Range[], chosen: Set<string>): void {
  const addresses = [...(spec.clusterIPs ?? [])];
  for (const [i, family] of (spec.ipFamilies ?? []).entries()) {
    const range = rangeFor(ranges, family);
    if (addresses[i] || !range) continue;
    const address = chooseAddress(range);
    addresses[i] = address;
    chosen.add(addressLedger(address));
  }
  if (addresses.length === 0) return;
  spec.clusterIPs = addresses;
  spec.clusterIP = addresses[0] ?? "";
}

function allocate(spec: ServiceSpec, ranges: readonly Range[], chosen: Set<string>): void {
  if (hasAddress(spec)) allocateAddresses(spec, ranges, chosen);
  if (needsHealthCheck(spec) && !spec.healthCheckNodePort) {
    spec.healthCheckNodePort = choosePort();
    chosen.add(portLedger(HEALTH_CHECK(spec.healthCheckNodePort)));
  }
  if (!needsNodePorts(spec)) return;
  for (const port of spec.ports ?? []) {
    if (port.nodePort) continue;
    // The same port by another protocol is the same port of the node.
    const twin = spec.ports?.find((p) => p.port === port.port && p.protocol !== port.protocol && p.nodePort);
    port.nodePort = twin?.nodePort ?? choosePort();
    chosen.add(portLedger(port));
  }
}

function release(spec: ServiceSpec, ledger: string): void {
  const at = spec.clusterIPs?.findIndex((address) => addressLedger(address) === ledger) ?? -1;
  if (at === 0) delete spec.clusterIP;
  // The ones after it keep their places.
  if (at >= 0) spec.clusterIPs = spec.clusterIPs?.with(at, "");
  for (const port of spec.ports ?? []) if (portLedger(port) === ledger) delete port.nodePort;
  const { healthCheckNodePort: check } = spec;
  if (check && portLedger(HEALTH_CHECK(check)) === ledger) delete spec.healthCheckNodePort;
}

function taken(service: Service, ledger: string): StatusError {
  const { name = "" } = service.metadata;
  const { spec } = service;
  if (ledger.startsWith("ip/")) {
    const address = spec?.clusterIPs?.find((one) => addressLedger(one) === ledger);
    const detail = `failed to allocate IP ${address}: provided IP is already allocated`;
    return invalid(KIND, name, [invalidValue("spec.clusterIPs", spec?.clusterIPs ?? [], detail)]);
  }
  const i = spec?.ports?.findIndex((p) => portLedger(p) === ledger) ?? 0;
  return invalid(KIND, name, [
    invalidValue(`spec.ports[${i}].nodePort`, spec?.ports?.[i]?.nodePort ?? 0, "provided port is already allocated"),
  ]);
}

/** What upstream's allocators do before anything is judged. */
function prepare(service: Service, before: Service | undefined, ranges: readonly Range[]): void {
  const { spec } = service;
  if (!spec) return;
  if (before?.spec) keepAllocated(spec, before.spec);
  normalizeAddresses(spec, before?.spec);
  completeFamilies(service, before, ranges);
  validateRequests(service, before, ranges);
}

/** `serviceCIDRs`: one range, or one of each family, the default family's first. */
export const serviceStrategy =
  (serviceCIDRs: readonly string[]) =>
  (facts: ResourceFacts): Strategy =>
    genericStrategy(facts, {
      validateName: nameIsDNSLabel,
      allowCreateOnUpdate: true,
      generation: false,
      returnsDeletedObject: true,
      applyDefaults: (object) => defaultService(as<Service>(object)),
      prepareForCreate(object) {
        const service = as<Service>(object);
        prepare(service, undefined, serviceCIDRs.map(rangeOf));
        service.status = { loadBalancer: {} };
      },
      prepareForUpdate(next, old) {
        const [service, before] = [as<Service>(next), as<Service>(old)];
        if (!service.spec || !before.spec) return;
        prepare(service, before, serviceCIDRs.map(rangeOf));
        dropOfOtherTypes(service.spec, before.spec);
        const same = service.spec.externalTrafficPolicy === before.spec.externalTrafficPolicy;
        if (isReachable(before.spec) && !isReachable(service.spec) && same) delete service.spec.externalTrafficPolicy;
        if (service.spec.type !== "LoadBalancer" && service.status) service.status.loadBalancer = {};
      },
      validate: (object) => validateService(as<Service>(object)),
      validateUpdate: (next, old) => validateServiceUpdate(as<Service>(next), as<Service>(old)),
      fieldNames: ["spec.clusterIP", "spec.type"],
      fields: (object) => {
        const { spec } = as<Service>(object);
        return { "spec.clusterIP": spec?.clusterIP ?? "", "spec.type": spec?.type ?? "" };
      },
      effects: (request) => effects(request, serviceCIDRs),
    });
