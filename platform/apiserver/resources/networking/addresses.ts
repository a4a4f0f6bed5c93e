/** ServiceCIDRs and IPAddresses: where services' addresses come from, and which are taken. */
import { isIP } from "node:net";
import { parseRange } from "#platform/rules/ranges.ts";
import type { IPAddress, ServiceCIDR } from "#sdk/api/generated/types.ts";
import { isPathSegmentName } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue, required } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import { type GoField, goValue } from "../../registry/go-names.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { each, same, segment, subdomain } from "../checks.ts";

const FIELD = "spec.cidrs";
const NOT_A_RANGE = "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)";

function validateRanges(cidrs: readonly string[]): Causes {
  if (cidrs.length === 0) return [required(FIELD, "at least one CIDR required")];
  if (cidrs.length > 2) return [invalidValue(FIELD, { CIDRs: cidrs }, "may only hold up to 2 values")];
  const ranges = cidrs.map(parseRange);
  const causes = ranges.flatMap((range, i): Causes => {
    const [field, text] = [`${FIELD}[${i}]`, cidrs[i]];
    if (!range) return [invalidValue(field, text, NOT_A_RANGE)];
    return range.canonical ? [] : [invalidValue(field, text, "must be in canonical form")];
  });
  if (ranges.length === 2 && ranges[0] && ranges[0].family === ranges[1]?.family)
    causes.push(
      invalidValue(
        FIELD,
        cidrs,
        "may specify no more than one IP for each IP family, i.e 192.168.0.0/24 and 2001:db8::/64",
      ),
    );
  return causes;
}

const changed = (next: readonly string[], old: readonly string[]): Causes =>
  old.flatMap((cidr, i) =>
    next[i] === cidr ? [] : [invalidValue(`${FIELD}[${i}]`, next[i] ?? "", "field is immutable")],
  );

export const serviceCIDRStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: false,
    validate: (object) => validateRanges(as<ServiceCIDR>(object).spec?.cidrs ?? []),
    validateUpdate(next, old) {
      const [after, before] = [as<ServiceCIDR>(next).spec?.cidrs ?? [], as<ServiceCIDR>(old).spec?.cidrs ?? []];
      if (after.length === before.length) return changed(after, before);
      // A range of the other family may join.
      if (before.length === 1 && after.length === 2) return [...changed(after, before), ...validateRanges(after)];
      return [invalidValue(FIELD, as<ServiceCIDR>(next).spec?.cidrs ?? null, "field is immutable")];
    },
  });

const PARENT_REFERENCE: readonly GoField[] = [
  { go: "Group", json: "group", zero: "" },
  { go: "Resource", json: "resource", zero: "" },
  { go: "Namespace", json: "namespace", zero: "" },
  { go: "Name", json: "name", zero: "" },
];
const ADDRESS = "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

function validateParent({ spec }: IPAddress): Causes {
  const parent = spec?.parentRef;
  const at = "spec.parentRef";
  if (!parent) return [required(at)];
  return [
    ...(parent.group ? subdomain(parent.group, `${at}.group`) : []),
    ...segment(parent.resource, `${at}.resource`),
    ...segment(parent.name, `${at}.name`),
    ...(parent.namespace ? each(isPathSegmentName(parent.namespace), `${at}.namespace`, parent.namespace) : []),
  ];
}

export const ipAddressStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    validateName: (name) => (isIP(name) === 0 || name.includes("%") ? [ADDRESS] : []),
    validate: (object) => validateParent(as<IPAddress>(object)),
    validateUpdate(next, old) {
      const [after, before] = [as<IPAddress>(next).spec?.parentRef, as<IPAddress>(old).spec?.parentRef];
      return [
        ...validateParent(as<IPAddress>(next)),
        ...(same(after, before)
          ? []
          : [invalidValue("spec.parentRef", goValue(after, PARENT_REFERENCE), "field is immutable")]),
      ];
    },
  });
