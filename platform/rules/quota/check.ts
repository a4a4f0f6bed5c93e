/** The decision of ResourceQuota admission about one object: what each quota has to be charged, or why the object is refused (apiserver's resourcequota CheckRequest). */
import type { ResourceQuota } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { compareQuantities } from "#sdk/api/quantity.ts";
import {
  type Amounts,
  addAmounts,
  amountsOf,
  growth,
  masked,
  printAmounts,
  textsOf,
  withoutZeroAmounts,
} from "./amounts.ts";
import type { DeviceFacts } from "./devices.ts";
import { chargesOn, countedBy, inScopes, missingFor, type QuotaOperation, quotaUsage } from "./evaluate.ts";

export interface QuotaRequest {
  /** "pods", "deployments.apps". */
  resource: string;
  operation: QuotaOperation;
  subresource: string;
  object: DynamicObject;
  old: DynamicObject | undefined;
  /** Milliseconds since the epoch. */
  now: number;
  /** Of a claim for devices, where a quota counts resources that devices may stand for. */
  devices?: DeviceFacts;
}

export interface Charge<Q> {
  quota: Q;
  /** status.used after the write. */
  used: Record<string, string>;
}

export class QuotaRefused extends Error {}

const matches = (quota: ResourceQuota, names: readonly string[], resource: string, object: DynamicObject): boolean =>
  names.length > 0 && inScopes(quota, resource, object);

/** Throws QuotaRefused with upstream's words. Quotas that the write does not change are left out. */
export function chargeQuotas<Q extends ResourceQuota>(quotas: readonly Q[], request: QuotaRequest): Charge<Q>[] {
  const { resource, operation, subresource, object, old, now, devices } = request;
  if (!chargesOn(resource, operation, subresource, object, old)) return [];
  const interesting = quotas.flatMap((quota) => {
    const hard = amountsOf(quota.status?.hard);
    const names = Object.keys(hard).filter((name) => countedBy(resource, name));
    if (!matches(quota, names, resource, object)) return [];
    checkUsable(quota, names, resource, object);
    return [{ quota, hard, names }];
  });
  if (interesting.length === 0) return [];
  const usage = quotaUsage(resource, object, now, devices);
  const negative = Object.entries(usage).filter(([, { nano }]) => nano < 0n);
  if (negative.length > 0) {
    const names = negative.map(([name]) => name).sort();
    throw new QuotaRefused(`quota usage is negative for resource(s): ${names.join(",")}`);
  }
  return interesting.flatMap(({ quota, hard, names }) => {
    const counted = old !== undefined && matches(quota, names, resource, old);
    const grown = counted ? growth(usage, quotaUsage(resource, old, now, devices)) : usage;
    const delta = masked(withoutZeroAmounts(grown), Object.keys(hard));
    if (Object.keys(delta).length === 0) return [];
    const used = amountsOf(quota.status?.used);
    const after = addAmounts(used, delta);
    checkWithin(quota, delta, used, after, hard);
    return [{ quota, used: textsOf(after) }];
  });
}

function checkUsable(quota: ResourceQuota, names: string[], resource: string, object: DynamicObject): void {
  const { name = "" } = quota.metadata;
  const missing = missingFor(resource, object, names);
  if (missing) throw new QuotaRefused(`failed quota: ${name}: ${missing}`);
  const known = quota.status?.used ?? {};
  if (names.every((each) => Object.hasOwn(known, each))) return;
  throw new QuotaRefused(`status unknown for quota: ${name}, resources: ${[...names].sort().join(",")}`);
}

function checkWithin(quota: ResourceQuota, delta: Amounts, used: Amounts, after: Amounts, hard: Amounts): void {
  const exceeded = Object.keys(delta).filter((name) => {
    const [limit, amount] = [hard[name], after[name]];
    return limit !== undefined && amount !== undefined && compareQuantities(amount, limit) > 0;
  });
  if (exceeded.length === 0) return;
  const part = (amounts: Amounts) => printAmounts(masked(amounts, exceeded));
  throw new QuotaRefused(
    `exceeded quota: ${quota.metadata.name}, requested: ${part(delta)}, used: ${part(used)}, limited: ${part(hard)}`,
  );
}
