/** Services: defaults, validation, and addresses and node ports from their ranges. */
import { borrowsApiAddress } from "#platform/rules/api-service.ts";
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
import { isReachable, validateService, validateServiceUpdate } from "./validation.ts";

const NODE_PORT_MIN = 30_000;
const NODE_PORT_MAX = 32_767;

const KIND = { group: "", kind: "Service" };
const hasNodePorts = (spec: ServiceSpec) =>
  spec.type === "NodePort" || (spec.type === "LoadBalancer" && spec.allocateLoadBalancerNodePorts !== false);
const hasAddress = (spec: ServiceSpec) => spec.type !== "ExternalName" && spec.clusterIP !== "None";

export function defaultService(service: Service): void {
  service.spec ??= {};
  const { spec } = service;
  spec.sessionAffinity ||= "None";
  spec.type ||= "ClusterIP";
  if (spec.sessionAffinity === "ClientIP") spec.sessionAffinityConfig ??= { clientIP: { timeoutSeconds: 10_800 } };
  for (const port of spec.ports ?? []) {
    port.protocol ||= "TCP";
    if (port.targetPort === undefined || port.targetPort === 0 || port.targetPort === "") port.targetPort = port.port;
  }
  if (isReachable(spec)) spec.externalTrafficPolicy ||= "Cluster";
  if (spec.type !== "ExternalName") spec.internalTrafficPolicy ??= "Cluster";
  if (spec.type === "LoadBalancer") spec.allocateLoadBalancerNodePorts ??= true;
}

/** Families and the list of addresses follow from the type and the first address. Only IPv4 ranges are served. */
function completeFamilies(spec: ServiceSpec): void {
  if (spec.type === "ExternalName") {
    for (const field of ["clusterIP", "clusterIPs", "ipFamilies", "ipFamilyPolicy"] as const) delete spec[field];
    return;
  }
  if (spec.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP];
  if (!spec.clusterIP && spec.clusterIPs?.length) spec.clusterIP = spec.clusterIPs[0];
  if (spec.clusterIP === "None" && !spec.selector && !spec.ipFamilyPolicy) spec.ipFamilyPolicy = "RequireDualStack";
  spec.ipFamilyPolicy ??= "SingleStack";
  spec.ipFamilies ??= spec.ipFamilyPolicy === "RequireDualStack" ? ["IPv4", "IPv6"] : ["IPv4"];
}

interface Range {
  base: number;
  size: number;
}

const toNumber = (address: string) => address.split(".").reduce((n, part) => n * 256 + Number(part), 0);
const toAddress = (value: number) => [24, 16, 8, 0].map((shift) => Math.floor(value / 2 ** shift) % 256).join(".");

function rangeOf(cidr: string): Range {
  const [base = "", bits = "32"] = cidr.split("/");
  return { base: toNumber(base), size: 2 ** (32 - Number(bits)) };
}

/** Static addresses are asked for in the lower part (KEP-3070); what the server chooses comes from above it. */
function chooseAddress({ base, size }: Range): string {
  const reserved = Math.min(Math.max(16, Math.floor(size / 16)), 256, Math.floor(size / 2));
  const span = size - 1 - reserved;
  return toAddress(base + reserved + Math.floor(Math.random() * Math.max(1, span)));
}

const hold = (ledger: string, takes: boolean): LedgerChange => ({
  tenant: ROOT_TENANT,
  ledger,
  delta: { used: takes ? 1 : -1 },
  enforce: takes,
  limits: takes ? { used: 1 } : null,
});

const addressLedger = (address: string) => `ip/${address}`;
const portLedger = (port: ServicePort) => `nodeport/${port.protocol ?? "TCP"}/${port.nodePort}`;
const choosePort = () => NODE_PORT_MIN + Math.floor(Math.random() * (NODE_PORT_MAX - NODE_PORT_MIN + 1));

/** The addresses that a service holds, for itself alone. */
function addressesOf(service: Service | undefined, isRoots: boolean, serviceCIDR: string): Set<string> {
  const spec = service?.spec;
  const own = spec && hasAddress(spec) && !borrowsApiAddress(service, isRoots, serviceCIDR);
  return new Set(own && spec.clusterIP ? [spec.clusterIP] : []);
}

function portsOf(service: Service | undefined): Map<string, ServicePort> {
  return new Map((service?.spec?.ports ?? []).filter((p) => p.nodePort).map((p) => [portLedger(p), p]));
}

/** Addresses and node ports are ledgers with room for one: whoever writes first has them. */
async function effects(request: EffectsRequest, serviceCIDR: string): Promise<Effects> {
  const service = request.operation === "delete" ? undefined : as<Service>(request.object);
  const old = request.old && as<Service>(request.old);
  const chosen = new Set<string>();
  if (service?.spec && request.subresource === "") allocate(service.spec, rangeOf(serviceCIDR), chosen);
  const ledgers: LedgerChange[] = [];
  const isRoots = request.context.tenant === ROOT_TENANT;
  const [had, has] = [addressesOf(old, isRoots, serviceCIDR), addressesOf(service, isRoots, serviceCIDR)];
  for (const address of has) if (!had.has(address)) ledgers.push(hold(addressLedger(address), true));
  for (const address of had) if (!has.has(address)) ledgers.push(hold(addressLedger(address), false));
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

function allocate(spec: ServiceSpec, range: Range, chosen: Set<string>): void {
  if (hasAddress(spec) && !spec.clusterIP) {
    spec.clusterIP = chooseAddress(range);
    spec.clusterIPs = [spec.clusterIP];
    chosen.add(addressLedger(spec.clusterIP));
  }
  if (!hasNodePorts(spec)) return;
  for (const port of spec.ports ?? []) {
    if (port.nodePort) continue;
    port.nodePort = choosePort();
    chosen.add(portLedger(port));
  }
}

function release(spec: ServiceSpec, ledger: string): void {
  if (spec.clusterIP && addressLedger(spec.clusterIP) === ledger) {
    delete spec.clusterIP;
    delete spec.clusterIPs;
  }
  for (const port of spec.ports ?? []) if (portLedger(port) === ledger) delete port.nodePort;
}

function taken(service: Service, ledger: string): StatusError {
  const { name = "" } = service.metadata;
  const { spec } = service;
  if (ledger.startsWith("ip/")) {
    const detail = `failed to allocate IP ${spec?.clusterIP}: provided IP is already allocated`;
    return invalid(KIND, name, [invalidValue("spec.clusterIPs", spec?.clusterIPs ?? [], detail)]);
  }
  const i = spec?.ports?.findIndex((p) => portLedger(p) === ledger) ?? 0;
  return invalid(KIND, name, [
    invalidValue(`spec.ports[${i}].nodePort`, spec?.ports?.[i]?.nodePort ?? 0, "provided port is already allocated"),
  ]);
}

/** What the server gave the service stays its own when an update leaves it out. */
function keepAllocated(next: ServiceSpec, old: ServiceSpec): void {
  // Ports of the old type are given back when no other was asked for.
  if (hasNodePorts(old) && next.type !== "NodePort" && next.type !== "LoadBalancer") {
    const had = new Set((old.ports ?? []).map((port) => port.nodePort));
    const same = (next.ports ?? []).every((port) => !port.nodePort || had.has(port.nodePort));
    if (same) for (const port of next.ports ?? []) delete port.nodePort;
  }
  if (hasAddress(next) && hasAddress(old) && old.clusterIP && !next.clusterIP) {
    next.clusterIP = old.clusterIP;
    next.clusterIPs = old.clusterIPs;
  }
  if (old.type === "ExternalName" || next.type === "ExternalName") return;
  next.ipFamilies ??= old.ipFamilies;
  next.ipFamilyPolicy ??= old.ipFamilyPolicy;
  if (!hasNodePorts(next)) return;
  for (const port of next.ports ?? []) {
    const before = old.ports?.find((p) => p.port === port.port && p.protocol === port.protocol);
    if (!port.nodePort && before?.nodePort) port.nodePort = before.nodePort;
  }
}

export const serviceStrategy =
  (serviceCIDR: string) =>
  (facts: ResourceFacts): Strategy =>
    genericStrategy(facts, {
      validateName: nameIsDNSLabel,
      allowCreateOnUpdate: true,
      generation: false,
      returnsDeletedObject: true,
      applyDefaults: (object) => defaultService(as<Service>(object)),
      prepareForCreate(object) {
        const service = as<Service>(object);
        service.status = { loadBalancer: {} };
        if (service.spec) completeFamilies(service.spec);
      },
      prepareForUpdate(next, old) {
        const [spec, before] = [as<Service>(next).spec, as<Service>(old).spec];
        if (!spec || !before) return;
        keepAllocated(spec, before);
        completeFamilies(spec);
        if (spec.type !== "LoadBalancer") delete spec.allocateLoadBalancerNodePorts;
        const same = spec.externalTrafficPolicy === before.externalTrafficPolicy;
        if (isReachable(before) && !isReachable(spec) && same) delete spec.externalTrafficPolicy;
      },
      validate: (object) => validateService(as<Service>(object)),
      validateUpdate: (next, old) => validateServiceUpdate(as<Service>(next), as<Service>(old)),
      fieldNames: ["spec.clusterIP", "spec.type"],
      fields: (object) => {
        const { spec } = as<Service>(object);
        return { "spec.clusterIP": spec?.clusterIP ?? "", "spec.type": spec?.type ?? "" };
      },
      effects: (request) => effects(request, serviceCIDR),
    });
