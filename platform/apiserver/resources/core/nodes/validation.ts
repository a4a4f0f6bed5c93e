/** Validation of nodes (ValidateNode, ValidateNodeUpdate). Taints are told of under metadata, as upstream does. */
import type { Node, Taint } from "#sdk/api/generated/types.ts";
import { isLabelValue, isQualifiedName } from "#sdk/api/names.ts";
import {
  type Causes,
  duplicate,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
} from "../../../registry/causes.ts";
import { each, same } from "../../checks.ts";
import { validateAmount } from "../../resourceNames.ts";

const EFFECTS = ["NoExecute", "NoSchedule", "PreferNoSchedule"];
const CIDR = /^(\d{1,3}\.){3}\d{1,3}\/\d{1,2}$|^[0-9a-fA-F:.]*:[0-9a-fA-F:.]*\/\d{1,3}$/;

function validateTaints(taints: readonly Taint[], path: string): Causes {
  const seen = new Set<string>();
  return taints.flatMap((taint, i) => {
    const { key = "", value = "", effect = "" } = taint;
    const at = `${path}[${i}]`;
    const causes = each(isQualifiedName(key), `${at}.key`, key);
    const odd = isLabelValue(value);
    if (odd.length > 0) causes.push(invalidValue(`${at}.value`, value, odd.join(";")));
    if (effect === "") causes.push(required(`${at}.effect`));
    else if (!EFFECTS.includes(effect)) causes.push(notSupported(`${at}.effect`, effect, EFFECTS));
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
  const causes = ranges.flatMap((range, i) =>
    CIDR.test(range)
      ? []
      : [invalidValue(`${at}[${i}]`, range, "must be a valid CIDR value, (e.g. 10.9.8.0/24 or 2001:db8::/64)")],
  );
  const families = new Set(ranges.map((range) => range.includes(":")));
  if (causes.length === 0 && families.size < ranges.length)
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
  if (ranges.length > 0 && !same(ranges, next.spec?.podCIDRs))
    causes.push(forbiddenField("spec.podCIDRs", 'node updates may not change podCIDR except from "" to valid'));
  const provider = old.spec?.providerID;
  if (provider && provider !== next.spec?.providerID)
    causes.push(forbiddenField("spec.providerID", 'node updates may not change providerID except from "" to valid'));
  causes.push(...validateTaints(next.spec?.taints ?? [], "metadata.taints"));
  if ((next.spec?.externalID ?? "") !== (old.spec?.externalID ?? ""))
    causes.push(forbiddenField("spec.externalID", "may not be updated"));
  return causes;
}
