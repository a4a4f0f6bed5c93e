/** What a request takes of a device that several claims may have at once (KEP-5075, upstream: consumable_capacity.go). */
import type { CapacityRequestPolicy, CapacityRequirements, Device, DeviceCapacity } from "#sdk/api/generated/types.ts";
import { compareQuantities, parseQuantity, type Quantity, quantityOf, quantityValue } from "#sdk/api/quantity.ts";

/** By name of the capacity, in billionths. */
export type Taken = Readonly<Record<string, bigint>>;

export const plus = (a: Taken, b: Taken, sign: 1n | -1n = 1n): Taken => {
  const sum: Record<string, bigint> = { ...a };
  for (const [name, amount] of Object.entries(b)) sum[name] = (sum[name] ?? 0n) + sign * amount;
  return sum;
};

/** What a request takes: as asked for, rounded up as the capacity's policy says; all of it where neither says how much. */
export function consumed(device: Device, wanted: CapacityRequirements | undefined): Record<string, Quantity> {
  return Object.fromEntries(
    Object.entries(device.capacity ?? {}).map(([name, capacity]) => [
      name,
      amountOf(capacity, wanted?.requests?.[name]),
    ]),
  );
}

/** Whether the device has what is asked for, beside what is taken of it. */
export function hasCapacity(device: Device, wanted: CapacityRequirements | undefined, taken: Taken): boolean {
  const capacities = device.capacity ?? {};
  if (Object.keys(wanted?.requests ?? {}).some((name) => !Object.hasOwn(capacities, name))) return false;
  return Object.entries(consumed(device, wanted)).every(([name, amount]) => {
    const { value, requestPolicy } = capacities[name]!;
    return allows(requestPolicy, amount) && (taken[name] ?? 0n) + amount.nano <= parseQuantity(value).nano;
  });
}

function amountOf({ value, requestPolicy: policy }: DeviceCapacity, wanted: string | undefined): Quantity {
  if (wanted === undefined) return parseQuantity(policy?.default ?? value);
  const amount = parseQuantity(wanted);
  if (policy?.validRange) return roundedUp(amount, policy.validRange);
  const valid = (policy?.validValues ?? []).map(parseQuantity);
  return valid.find((option) => compareQuantities(amount, option) <= 0) ?? amount;
}

type Range = NonNullable<CapacityRequestPolicy["validRange"]>;

function roundedUp(amount: Quantity, { min, step }: Range): Quantity {
  const least = parseQuantity(min);
  if (compareQuantities(amount, least) < 0) return least;
  if (step === undefined) return amount;
  const [from, by] = [quantityValue(least), quantityValue(parseQuantity(step))];
  const steps = Math.ceil((quantityValue(amount) - from) / by);
  return quantityOf(from + by * steps, "BinarySI");
}

function allows(policy: CapacityRequestPolicy | undefined, amount: Quantity): boolean {
  const is = (text: string) => compareQuantities(amount, parseQuantity(text)) === 0;
  if (!policy || (policy.default !== undefined && is(policy.default))) return true;
  const { validRange, validValues = [] } = policy;
  if (!validRange) return validValues.length === 0 || validValues.some(is);
  const { min, max, step } = validRange;
  if (max !== undefined && compareQuantities(amount, parseQuantity(max)) > 0) return false;
  return (
    step === undefined ||
    (quantityValue(amount) - quantityValue(parseQuantity(min))) % quantityValue(parseQuantity(step)) === 0
  );
}
