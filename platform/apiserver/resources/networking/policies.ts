/** NetworkPolicies. */

import { containsRange, parseRange } from "#platform/rules/ranges.ts";
import type { IPBlock, NetworkPolicy, NetworkPolicyPeer, NetworkPolicyPort } from "#sdk/api/generated/types.ts";
import { validateLabelSelector } from "#sdk/api/labels.ts";
import { isPortName, isPortNumber } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, forbiddenField, invalidValue, notSupportedInOrder, required } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { validateCIDR } from "../addresses.ts";
import { as } from "../as.ts";
import { each } from "../checks.ts";

const PROTOCOLS = ["TCP", "UDP", "SCTP"];
const TYPES = ["Ingress", "Egress"];

function validatePort({ protocol, port, endPort }: NetworkPolicyPort, at: string): Causes {
  const causes: Causes =
    protocol === undefined || PROTOCOLS.includes(protocol)
      ? []
      : [notSupportedInOrder(`${at}.protocol`, protocol, PROTOCOLS)];
  const wrongEnd = (value: unknown, detail: string) => causes.push(invalidValue(`${at}.endPort`, value, detail));
  if (port === undefined) {
    if (endPort !== undefined) wrongEnd(endPort, "may not be specified when `port` is not specified");
  } else if (typeof port === "number") {
    causes.push(...each(isPortNumber(port), `${at}.port`, port));
    if (endPort === undefined) return causes;
    if (endPort < port) wrongEnd(port, "must be greater than or equal to `port`");
    causes.push(...each(isPortNumber(endPort), `${at}.endPort`, endPort));
  } else {
    if (endPort !== undefined) wrongEnd(endPort, "may not be specified when `port` is non-numeric");
    causes.push(...each(isPortName(port), `${at}.port`, port));
  }
  return causes;
}

interface Kept {
  ranges: readonly string[];
  anyValues: boolean;
}

const NOTHING_KEPT: Kept = { ranges: [], anyValues: false };

function validateBlock({ cidr, except }: IPBlock, at: string, old: readonly string[]): Causes {
  if (!cidr) return [required(`${at}.cidr`)];
  const causes = validateCIDR(cidr, `${at}.cidr`, old);
  const outer = parseRange(cidr);
  if (!outer) return causes;
  const excepted = (except ?? []).flatMap((text, i) => {
    const field = `${at}.except[${i}]`;
    const wrong = validateCIDR(text, field, old);
    const inner = parseRange(text);
    if (!inner || (containsRange(outer, inner) && outer.bits < inner.bits)) return wrong;
    return [...wrong, invalidValue(field, text, "must be a strict subset of `cidr`")];
  });
  return [...causes, ...excepted];
}

function validatePeer(peer: NetworkPolicyPeer, at: string, { ranges, anyValues }: Kept): Causes {
  const causes = [
    ...validateLabelSelector(peer.podSelector, `${at}.podSelector`, anyValues),
    ...validateLabelSelector(peer.namespaceSelector, `${at}.namespaceSelector`, anyValues),
    ...(peer.ipBlock ? validateBlock(peer.ipBlock, `${at}.ipBlock`, ranges) : []),
  ];
  const selectors = [peer.podSelector, peer.namespaceSelector].filter((s) => s !== undefined).length;
  if (selectors === 0 && !peer.ipBlock) causes.push(required(at, "must specify a peer"));
  else if (selectors > 0 && peer.ipBlock)
    causes.push(forbiddenField(at, "may not specify both ipBlock and another peer"));
  return causes;
}

/** What the policy had before, which is let pass. */
function keptOf({ spec }: NetworkPolicy): Kept {
  const peers = [...(spec?.ingress ?? []).map((r) => r.from), ...(spec?.egress ?? []).map((r) => r.to)].flatMap(
    (list) => list ?? [],
  );
  return {
    ranges: peers.flatMap(({ ipBlock }) => (ipBlock ? [ipBlock.cidr, ...(ipBlock.except ?? [])] : [])),
    anyValues: validateLabelSelector(spec?.podSelector, "").length > 0,
  };
}

function validate({ spec }: NetworkPolicy, kept = NOTHING_KEPT): Causes {
  const causes = validateLabelSelector(spec?.podSelector, "spec.podSelector", kept.anyValues);
  const rule = (
    direction: "ingress" | "egress",
    i: number,
    ports: readonly NetworkPolicyPort[] | undefined,
    peers: readonly NetworkPolicyPeer[] | undefined,
  ) => {
    const at = `spec.${direction}[${i}]`;
    const word = direction === "ingress" ? "from" : "to";
    causes.push(
      ...(ports ?? []).flatMap((p, j) => validatePort(p, `${at}.ports[${j}]`)),
      ...(peers ?? []).flatMap((p, j) => validatePeer(p, `${at}.${word}[${j}]`, kept)),
    );
  };
  for (const [i, r] of (spec?.ingress ?? []).entries()) rule("ingress", i, r.ports, r.from);
  for (const [i, r] of (spec?.egress ?? []).entries()) rule("egress", i, r.ports, r.to);
  const types = spec?.policyTypes ?? [];
  if (types.length > TYPES.length)
    return [...causes, invalidValue("spec.policyTypes", types, "may not specify more than two policyTypes")];
  for (const [i, type] of types.entries())
    if (!TYPES.includes(type)) causes.push(notSupportedInOrder(`spec.policyTypes[${i}]`, type, TYPES));
  return causes;
}

export const networkPolicyStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: true,
    applyDefaults(object) {
      const policy = as<NetworkPolicy>(object);
      policy.spec ??= {};
      const { spec } = policy;
      for (const { ports } of [...(spec.ingress ?? []), ...(spec.egress ?? [])])
        for (const port of ports ?? []) port.protocol ??= "TCP";
      if (!spec.policyTypes?.length) spec.policyTypes = spec.egress?.length ? ["Ingress", "Egress"] : ["Ingress"];
    },
    validate: (object) => validate(as<NetworkPolicy>(object)),
    validateUpdate: (next, old) => validate(as<NetworkPolicy>(next), keptOf(as<NetworkPolicy>(old))),
  });
