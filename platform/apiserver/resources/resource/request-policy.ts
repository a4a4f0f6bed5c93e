/** Which amounts of a shared device's capacity may be asked for (KEP-5075, pkg/apis/resource/validation). */
import type { CapacityRequestPolicy, CapacityRequestPolicyRange } from "#sdk/api/generated/types.ts";
import {
  addQuantities,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  type Quantity,
  quantityValue,
} from "#sdk/api/quantity.ts";
import { type Causes, forbiddenField, invalidValue, required } from "../../registry/causes.ts";
import { validateSet } from "./devices.ts";

const OPTIONS_MAX = 10;

const wrong = (field: string, quantity: Quantity, why: string): Causes => [
  invalidValue(field, formatQuantity(quantity), why),
];
const isLess = (a: Quantity, b: Quantity): boolean => compareQuantities(a, b) < 0;

function validateOptions(chosen: Quantity, capacity: Quantity, options: readonly Quantity[], at: string): Causes {
  const text = formatQuantity(capacity);
  return [
    ...options.flatMap((option, i) => {
      const before = options[i - 1];
      return before && isLess(option, before)
        ? wrong(`${at}[${i}]`, option, "values must be sorted in ascending order")
        : [];
    }),
    ...validateSet(
      options,
      OPTIONS_MAX,
      at,
      (option) => String(quantityValue(option)),
      (option, field) =>
        isLess(capacity, option) ? wrong(field, option, `option is larger than capacity value: ${text}`) : [],
    ),
    ...(options.length <= OPTIONS_MAX && options.some((option) => compareQuantities(option, chosen) === 0)
      ? []
      : wrong(at, chosen, "default value is not valid according to the requestPolicy")),
  ];
}

function validateStep(value: Quantity, min: Quantity, step: Quantity, at: string): Causes {
  const fits = (quantityValue(value) - quantityValue(min)) % quantityValue(step) === 0;
  const why = `value is not a multiple of a given step (${formatQuantity(step)}) from (${formatQuantity(min)})`;
  return fits ? [] : wrong(at, value, why);
}

function validateRange(chosen: Quantity, capacity: Quantity, range: CapacityRequestPolicyRange, at: string): Causes {
  if (range.min === undefined) return [required(`${at}.min`, "required when validRange is defined")];
  const min = parseQuantity(range.min);
  const [max, step] = [range.max, range.step].map((q) => (q === undefined ? undefined : parseQuantity(q)));
  const most = formatQuantity(capacity);
  const causes: Causes = [];
  const unless = (holds: boolean, part: "min" | "max" | "step", quantity: Quantity, why: string) => {
    if (!holds) causes.push(...wrong(`${at}.${part}`, quantity, why));
  };
  unless(!isLess(capacity, min), "min", min, `min is larger than capacity value: ${most}`);
  unless(!isLess(chosen, min), "min", chosen, `default is less than min: ${formatQuantity(min)}`);
  if (max) {
    unless(!isLess(max, min), "max", min, `min is larger than max: ${formatQuantity(max)}`);
    unless(!isLess(capacity, max), "max", max, `max is larger than capacity value: ${most}`);
    unless(!isLess(max, chosen), "max", chosen, `default is more than max: ${formatQuantity(max)}`);
  }
  if (!step) return causes;
  const once = addQuantities(min, step);
  const tooFar = `one step ${formatQuantity(once)} is larger than capacity value: ${most}`;
  unless(!isLess(capacity, once), "step", step, tooFar);
  return [
    ...causes,
    ...validateStep(chosen, min, step, `${at}.step`),
    ...(max ? validateStep(max, min, step, `${at}.step`) : []),
  ];
}

/** `capacity` is the whole of what the device has. */
export function validateRequestPolicy(capacity: string, policy: CapacityRequestPolicy, at: string): Causes {
  const { validValues = [], validRange } = policy;
  if (validValues.length > 0 && validRange)
    return [
      forbiddenField(
        at,
        'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time',
      ),
    ];
  const used = validValues.length > 0 ? "validValues" : validRange ? "validRange" : undefined;
  if (!used) return [];
  if (policy.default === undefined) return [required(`${at}.default`, `required when ${used} is defined`)];
  const [chosen, most] = [parseQuantity(policy.default), parseQuantity(capacity)];
  return validRange
    ? validateRange(chosen, most, validRange, `${at}.validRange`)
    : validateOptions(chosen, most, validValues.map(parseQuantity), `${at}.validValues`);
}
