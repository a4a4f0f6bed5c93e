/** Validation of nodes (ValidateNode, ValidateNodeUpdate). Taints are told of under metadata, as upstream does. */

import { parseRange } from "#platform/rules/ranges.ts";
import type { Node, Taint } from "#sdk/api/generated/types.ts";
import { isLabelValue, isQualifiedName } from "#sdk/api/names.ts";
import {
  type Causes,
  duplicate,
  forbiddenField,
  invalidValue,
  notSupportedInOrder,
  required,
} from "../../../registry/causes.ts";
import { validateCIDR } from "../../addresses.ts";
import { each, same } from "../../checks.ts";
import { validateAmount } from "../../resourceNames.ts";

const EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

function validateTaints(taints: readonly Taint[], path: string): Causes {
  const seen = new Set<string>();
  return taints.flatMap((taint, i) => {
    const { key = "", value = "", effect = "" } = taint;
    const at = `${path}[${i}]`;
    const causes = each(isQualifiedName(key), `${at}.key`, key);
    const odd = isLabelValue(value);
    if (odd.length > 0) causes.push(invalidValue(`${at}.value`, value, odd.join(";")));
    if (effect === "") causes.push(required(`${at}.effect`));
    else if (!EFFECTS.includes(effect)) causes.push(notSupportedInOrder(`${at}.effect`, effect, EFFECTS));
    const pair = `${effect}/${key}`;
    if (seen.has(pair)) {
      const twice = duplicate(at, taint);
      causes.push({ ...twice, message: `${twice.message}: taints must be unique by key and effect pair` });
    }
    seen.add(pair);
    return causes;
  });
}

const validateAmounts = ({ status }: Node): Causes =>
  (["capacity", "allocatable"] as const).flatMap((list) =>
    Object.entries(status?.[list] ?? {}).flatMap(([name, amount]) =>
      validateAmount(name, amount, `status.${list}.${name}`),
    ),
  );

function validatePodCIDRs(ranges: readonly string[]): Causes {
  const at = "spec.podCIDRs";
  const causes = ranges.flatMap((range, i) => validateCIDR(range, `${at}[${i}]`));
  if (ranges.length < 2) return causes;
  const broken = ranges.findIndex((range) => parseRange(range) === undefined);
  if (broken >= 0)
    causes.push({
      reason: "InternalError",
      message: `Internal error: invalid PodCIDRs. failed to check with dual stack with error:invalid CIDR[${broken}]: <nil> (invalid CIDR address: ${ranges[broken]})`,
      field: at,
    });
  const families = new Set(ranges.map((range) => parseRange(range)?.family));
  if (broken >= 0 || families.size < 2 || ranges.length > 2)
    causes.push(invalidValue(at, ranges, "may specify no more than one CIDR for each IP family"));
  return causes;
}

export const validateNode = (node: Node): Causes => [
  ...validateTaints(node.spec?.taints ?? [], "metadata.taints"),
  ...validateAmounts(node),
  ...validatePodCIDRs(node.spec?.podCIDRs ?? []),
];

export function validateNodeUpdate(next: Node, old: Node): Causes {
  const causes = validateAmounts(next);
  const addresses = next.status?.addresses ?? [];
  for (const [i, address] of addresses.entries())
    if (addresses.slice(0, i).some((other) => same(other, address)))
      causes.push(duplicate(`status.addresses[${i}]`, address));
  const ranges = old.spec?.podCIDRs ?? [];
  const now = next.spec?.podCIDRs ?? [];
  const moved = ranges.filter((range, i) => range !== now[i]);
  const told = ranges.length > 0 && ranges.length !== now.length ? [now] : moved;
  const fixed = 'node updates may not change podCIDR except from "" to valid';
  causes.push(...told.map(() => forbiddenField("spec.podCIDRs", fixed)));
  const provider = old.spec?.providerID;
  if (provider && provider !== next.spec?.providerID)
    causes.push(forbiddenField("spec.providerID", 'node updates may not change providerID except from "" to valid'));
  causes.push(...validateTaints(next.spec?.taints ?? [], "metadata.taints"));
  if ((next.spec?.externalID ?? "") !== (old.spec?.externalID ?? ""))
    causes.push(forbiddenField("spec.externalID", "may not be updated"));
  return causes;
}
