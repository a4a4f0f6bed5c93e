/**
 * Addresses and families of services before anything is judged: what upstream's allocators complete and refuse first, alone
 * (pkg/registry/core/service/storage). Families are served that the server has a range of; the first range's is the default.
 */

import { addressValue, type Family, familyOf, type Range, rangeSize } from "#platform/rules/ranges.ts";
import type { Service, ServiceSpec } from "#sdk/api/generated/types.ts";
import { invalid, type StatusError } from "#sdk/api/status.ts";
import { type Causes, invalidValue } from "../../../registry/causes.ts";
import { same } from "../../checks.ts";
import { validateFamilies } from "./validation.ts";

const KIND = { group: "", kind: "Service" };
export const NODE_PORTS = { min: 30_000, max: 32_767 };

const refusal = (service: Service, causes: Causes): StatusError => invalid(KIND, service.metadata.name ?? "", causes);
const needsAddress = ({ type }: ServiceSpec): boolean => type !== "ExternalName";
export const needsNodePorts = ({ type, allocateLoadBalancerNodePorts: allocates }: ServiceSpec): boolean =>
  type === "NodePort" || (type === "LoadBalancer" && allocates !== false);
export const needsHealthCheck = ({ type, externalTrafficPolicy }: ServiceSpec): boolean =>
  type === "LoadBalancer" && externalTrafficPolicy === "Local";

/** The first address alone and the list of them tell each other. */
export function normalizeAddresses(spec: ServiceSpec, old?: ServiceSpec): void {
  if (!old) {
    if (spec.clusterIP && !spec.clusterIPs?.length) spec.clusterIPs = [spec.clusterIP];
    return;
  }
  if (old.clusterIPs?.length && !spec.clusterIPs?.length && old.clusterIP === spec.clusterIP)
    spec.clusterIPs = old.clusterIPs;
  if (old.clusterIP === spec.clusterIP || !same(old.clusterIPs, spec.clusterIPs)) return;
  if (old.clusterIP && !spec.clusterIP) delete spec.clusterIPs;
  else if (spec.clusterIP) spec.clusterIPs = [spec.clusterIP];
}

/** What the server gave the service stays its own when an update leaves it out. */
export function keepAllocated(spec: ServiceSpec, old: ServiceSpec): void {
  if (needsAddress(old) && needsAddress(spec)) {
    if (!spec.clusterIP && old.clusterIP) spec.clusterIP = old.clusterIP;
    if (!spec.clusterIPs?.length && old.clusterIPs?.length) spec.clusterIPs = old.clusterIPs;
  }
  if (needsNodePorts(old) && needsNodePorts(spec)) {
    const portsOf = ({ ports = [] }: ServiceSpec) => new Set(ports.flatMap(({ nodePort }) => nodePort || []));
    const [had, has] = [portsOf(old), portsOf(spec)];
    const before = new Map((old.ports ?? []).map(({ name, nodePort }) => [name ?? "", nodePort]));
    for (const port of spec.ports ?? []) {
      const nodePort = before.get(port.name ?? "");
      if (!port.nodePort && nodePort && !(had.has(nodePort) && has.has(nodePort))) port.nodePort = nodePort;
    }
  }
  if (needsHealthCheck(old) && needsHealthCheck(spec)) spec.healthCheckNodePort ||= old.healthCheckNodePort;
}

/** Of a service that prefers two families and has the one there is, nothing is to be done. */
function isSettled(spec: ServiceSpec, old: ServiceSpec | undefined): boolean {
  if (!old || spec.ipFamilyPolicy !== "PreferDualStack" || old.type !== spec.type || !needsAddress(spec)) return false;
  const policy = old.ipFamilyPolicy ?? "PreferDualStack";
  return policy === "PreferDualStack" && same(old.clusterIPs, spec.clusterIPs) && same(old.ipFamilies, spec.ipFamilies);
}

const isHeadless = ({ clusterIP }: ServiceSpec): boolean => clusterIP === "None";
const selectsNothing = ({ selector }: ServiceSpec): boolean => Object.keys(selector ?? {}).length === 0;

/** Fewer families or addresses than before are only for those who want one. */
function validateReduction(spec: ServiceSpec, old: ServiceSpec): Causes {
  const { ipFamilyPolicy: policy } = spec;
  const field = "spec.ipFamilyPolicy";
  const reduced = (list: "clusterIPs" | "ipFamilies", what: string): Causes => {
    const [now, before] = [spec[list]?.length ?? 0, old[list]?.length ?? 0];
    return now > 0 && now < before ? [invalidValue(field, policy, `must be 'SingleStack' to release the ${what}`)] : [];
  };
  if (policy !== "SingleStack")
    return [...reduced("clusterIPs", "secondary cluster IP"), ...reduced("ipFamilies", "secondary IP family")];
  for (const list of ["clusterIPs", "ipFamilies"] as const) {
    const [now, before] = [spec[list] ?? [], old[list]];
    if (now.length > 1 && same(now, before)) spec[list] = now.slice(0, 1);
  }
  return [];
}

function validateSingle({ ipFamilyPolicy: policy, clusterIPs, ipFamilies }: ServiceSpec): Causes {
  if (policy !== "SingleStack") return [];
  const two = (list: readonly string[] | undefined, what: string): Causes =>
    list?.length === 2
      ? [
          invalidValue(
            "spec.ipFamilyPolicy",
            policy,
            `must be 'RequireDualStack' or 'PreferDualStack' when multiple ${what} are specified`,
          ),
        ]
      : [];
  return [...two(clusterIPs, "cluster IPs"), ...two(ipFamilies, "IP families")];
}

const servedFamily = ({ family }: Range): Family => (family === 4 ? "IPv4" : "IPv6");
export const rangeFor = (ranges: readonly Range[], family: string | undefined): Range | undefined =>
  ranges.find((range) => servedFamily(range) === family);

/** Families follow from the addresses that are asked for. */
function addFamilies(spec: ServiceSpec, ranges: readonly Range[]): Causes {
  const causes: Causes = [];
  for (const [i, address] of (spec.clusterIPs ?? []).entries()) {
    if (address === "None") break;
    if (i < (spec.ipFamilies?.length ?? 0)) continue;
    const family = familyOf(address) ?? "unknown";
    if (rangeFor(ranges, family)) spec.ipFamilies = [...(spec.ipFamilies ?? []), family];
    else
      causes.push(
        invalidValue(`spec.clusterIPs[${i}]`, spec.clusterIPs, `${family} is not configured on this cluster`),
      );
  }
  return causes;
}

function validateServed({ ipFamilyPolicy: policy, ipFamilies = [] }: ServiceSpec, ranges: readonly Range[]): Causes {
  const dual =
    policy === "RequireDualStack" && ranges.length < 2
      ? [invalidValue("spec.ipFamilyPolicy", policy, "this cluster is not configured for dual-stack services")]
      : [];
  const families = ipFamilies.flatMap((family, i) =>
    rangeFor(ranges, family) ? [] : [invalidValue(`spec.ipFamilies[${i}]`, family, "not configured on this cluster")],
  );
  return [...dual, ...families];
}

/** Completes policy and families, or throws what is wrong with them (a 422 with these causes alone). */
export function completeFamilies(service: Service, before: Service | undefined, ranges: readonly Range[]): void {
  const spec = service.spec ?? {};
  const old = before?.spec;
  if (!needsAddress(spec) || isSettled(spec, old)) return;
  const judge = (causes: Causes) => {
    if (causes.length > 0) throw refusal(service, causes);
  };
  const nowhere = isHeadless(spec) && selectsNothing(spec);
  spec.ipFamilyPolicy ??= old?.ipFamilyPolicy ?? (nowhere ? "RequireDualStack" : "SingleStack");
  judge(validateFamilies(spec, old));
  judge([...(old ? validateReduction(spec, old) : []), ...validateSingle(spec), ...addFamilies(spec, ranges)]);
  if (!nowhere) judge(validateServed(spec, ranges));
  const [first] = ranges;
  if (!spec.ipFamilies?.length) spec.ipFamilies = [first ? servedFamily(first) : "IPv4"];
  // Whoever lists addresses itself may have any family.
  if ((nowhere || ranges.length === 2) && spec.ipFamilies.length < 2 && spec.ipFamilyPolicy !== "SingleStack")
    spec.ipFamilies = [...spec.ipFamilies, spec.ipFamilies[0] === "IPv4" ? "IPv6" : "IPv4"];
}

/** Neither the range's own name nor IPv4's broadcast address is anybody's. */
function isFree(range: Range | undefined, address: string): boolean {
  if (!range) return false;
  const offset = addressValue(address) - range.base;
  return offset > 0n && offset < rangeSize(range) - (range.family === 4 ? 1n : 0n);
}

/** Refuses what is asked for by name and cannot be had: addresses out of the range, ports out of theirs. */
export function validateRequests(service: Service, before: Service | undefined, ranges: readonly Range[]): void {
  const { clusterIPs, ports = [], type } = service.spec ?? {};
  if (needsAddress(service.spec ?? {}))
    for (const [i, address] of (clusterIPs ?? []).entries()) {
      const wants = address !== "None" && familyOf(address) && before?.spec?.clusterIPs?.[i] === undefined;
      if (!wants || isFree(rangeFor(ranges, familyOf(address)), address)) continue;
      const detail = `failed to allocate IP ${address}: the provided network does not match the current range`;
      throw refusal(service, [invalidValue("spec.clusterIPs", clusterIPs, detail)]);
    }
  if (type !== "NodePort" && type !== "LoadBalancer") return;
  const had = new Set((before?.spec?.ports ?? []).map(({ nodePort }) => nodePort));
  const outside = (value: number | undefined) => value && (value < NODE_PORTS.min || value > NODE_PORTS.max);
  for (const [i, { nodePort }] of ports.entries())
    if (outside(nodePort) && !had.has(nodePort)) {
      const detail = `provided port is not in the valid range. The range of valid ports is ${NODE_PORTS.min}-${NODE_PORTS.max}`;
      throw refusal(service, [invalidValue(`spec.ports[${i}].nodePort`, nodePort, detail)]);
    }
}

/** Fields of a type that the service has no longer go with it, where they were not asked for anew. */
export function dropOfOtherTypes(spec: ServiceSpec, old: ServiceSpec): void {
  const external = ({ type }: ServiceSpec) => type === "NodePort" || type === "LoadBalancer";
  if (needsAddress(old) && !needsAddress(spec)) {
    if (old.clusterIP === spec.clusterIP && same(old.clusterIPs, spec.clusterIPs)) {
      delete spec.clusterIP;
      delete spec.clusterIPs;
    }
    for (const field of ["ipFamilies", "ipFamilyPolicy"] as const)
      if (same(old[field], spec[field])) delete spec[field];
  }
  if (external(old) && !external(spec)) {
    const had = new Set((old.ports ?? []).map(({ nodePort }) => nodePort));
    if ((spec.ports ?? []).every(({ nodePort }) => !nodePort || had.has(nodePort)))
      for (const port of spec.ports ?? []) delete port.nodePort;
  }
  if (needsHealthCheck(old) && !needsHealthCheck(spec) && old.healthCheckNodePort === spec.healthCheckNodePort)
    delete spec.healthCheckNodePort;
  if (old.type !== "LoadBalancer" || spec.type === "LoadBalancer") return;
  for (const field of ["allocateLoadBalancerNodePorts", "loadBalancerClass"] as const)
    if (old[field] === spec[field]) delete spec[field];
}
