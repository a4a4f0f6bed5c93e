/** LimitRanger's validation, with upstream's messages: what of a pod or claim breaks the namespace's LimitRanges. */
import type { Container, LimitRange, LimitRangeItem, PersistentVolumeClaim, Pod } from "#sdk/api/generated/types.ts";
import {
  addQuantities,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  type Quantity,
  quantityMilliValue,
} from "#sdk/api/quantity.ts";

type Amounts = Record<string, Quantity>;
interface Use {
  requests: Amounts;
  limits: Amounts;
}

const amounts = (texts: Record<string, string | number> | undefined): Amounts =>
  Object.fromEntries(Object.entries(texts ?? {}).map(([name, text]) => [name, parseQuantity(text)]));

const own = (all: Amounts, name: string): Quantity | undefined => (Object.hasOwn(all, name) ? all[name] : undefined);
const less = (a: Quantity, b: Quantity): boolean => compareQuantities(a, b) < 0;

function minimum(type: string, name: string, least: Quantity, { requests, limits }: Use): string | undefined {
  const [request, limit, text] = [own(requests, name), own(limits, name), formatQuantity(least)];
  const start = `minimum ${name} usage per ${type} is ${text}`;
  if (!request) return `${start}.  No request is specified`;
  if (less(request, least)) return `${start}, but request is ${formatQuantity(request)}`;
  if (limit && less(limit, least)) return `${start}, but limit is ${formatQuantity(limit)}`;
  return undefined;
}

function maximum(type: string, name: string, most: Quantity, { requests, limits }: Use): string | undefined {
  const [request, limit, text] = [own(requests, name), own(limits, name), formatQuantity(most)];
  const start = `maximum ${name} usage per ${type} is ${text}`;
  if (!limit) return `${start}.  No limit is specified`;
  if (less(most, limit)) return `${start}, but limit is ${formatQuantity(limit)}`;
  if (request && less(most, request)) return `${start}, but request is ${formatQuantity(request)}`;
  return undefined;
}

/** For claims, which have no limits. */
function maximumRequest(type: string, name: string, most: Quantity, { requests }: Use): string | undefined {
  const request = own(requests, name);
  const start = `maximum ${name} usage per ${type} is ${formatQuantity(most)}`;
  if (!request) return `${start}.  No request is specified`;
  return less(most, request) ? `${start}, but request is ${formatQuantity(request)}` : undefined;
}

function ratio(type: string, name: string, most: Quantity, { requests, limits }: Use): string | undefined {
  const [request, limit] = [own(requests, name), own(limits, name)];
  const start = `${name} max limit to request ratio per ${type} is ${formatQuantity(most)}`;
  if (!request || request.nano === 0n) return `${start}, but no request is specified or request is 0`;
  if (!limit || limit.nano === 0n) return `${start}, but no limit is specified or limit is 0`;
  const observed = quantityMilliValue(limit) / quantityMilliValue(request);
  if (observed * 1000 <= quantityMilliValue(most)) return undefined;
  return `${start}, but provided ratio is ${observed.toFixed(6)}`;
}

type Constraint = (type: string, name: string, bound: Quantity, use: Use) => string | undefined;

function check(
  type: string,
  bounds: Record<string, string | number> | undefined,
  use: Use,
  constraint: Constraint,
): string[] {
  return Object.entries(amounts(bounds)).flatMap(([name, bound]) => constraint(type, name, bound, use) ?? []);
}

const checkAll = (item: LimitRangeItem, use: Use): string[] => [
  ...check(item.type, item.min, use, minimum),
  ...check(item.type, item.max, use, maximum),
  ...check(item.type, item.maxLimitRequestRatio, use, ratio),
];

const usageOf = (container: Container): Use => ({
  requests: amounts(container.resources?.requests),
  limits: amounts(container.resources?.limits),
});

const sum = (a: Amounts, b: Amounts): Amounts => {
  const total = { ...a };
  for (const [name, quantity] of Object.entries(b)) {
    const present = own(total, name);
    total[name] = present ? addQuantities(present, quantity) : quantity;
  }
  return total;
};

const greatest = (a: Amounts, b: Amounts): Amounts => {
  const top = { ...a };
  for (const [name, quantity] of Object.entries(b)) {
    const present = own(top, name);
    if (!present || less(present, quantity)) top[name] = quantity;
  }
  return top;
};

/** The containers' sum, or an init container's moment where that is more; sidecars run beside both. */
function podAmounts(pod: Pod, part: "requests" | "limits"): Amounts {
  let total = (pod.spec?.containers ?? []).reduce<Amounts>((all, c) => sum(all, usageOf(c)[part]), {});
  let sidecars: Amounts = {};
  let initial: Amounts = {};
  for (const container of pod.spec?.initContainers ?? []) {
    const needed = usageOf(container)[part];
    if (container.restartPolicy === "Always") {
      total = sum(total, needed);
      sidecars = sum(sidecars, needed);
      initial = greatest(initial, sidecars);
    } else initial = greatest(initial, sum(needed, sidecars));
  }
  const all = greatest(total, initial);
  for (const [name, quantity] of Object.entries(amounts(pod.spec?.resources?.[part]))) {
    if (name === "cpu" || name === "memory") all[name] = quantity;
  }
  return all;
}

const itemsOf = (range: LimitRange): LimitRangeItem[] => range.spec?.limits ?? [];

/** What is wrong with the pod under one range, each once. */
export function podViolations(pod: Pod, range: LimitRange): string[] {
  const containers = [...(pod.spec?.containers ?? []), ...(pod.spec?.initContainers ?? [])];
  const wrong = itemsOf(range).flatMap((item) => {
    if (item.type === "Container") return containers.flatMap((container) => checkAll(item, usageOf(container)));
    if (item.type !== "Pod") return [];
    return checkAll(item, { requests: podAmounts(pod, "requests"), limits: podAmounts(pod, "limits") });
  });
  return [...new Set(wrong)];
}

export function claimViolations(claim: PersistentVolumeClaim, range: LimitRange): string[] {
  const use = { requests: amounts(claim.spec?.resources?.requests), limits: {} };
  const wrong = itemsOf(range)
    .filter(({ type }) => type === "PersistentVolumeClaim")
    .flatMap((item) => [
      ...check(item.type, item.min, use, minimum),
      ...check(item.type, item.max, use, maximumRequest),
    ]);
  return [...new Set(wrong)];
}

/** As apimachinery's aggregate of errors says it. */
export const aggregate = (messages: readonly string[]): string =>
  messages.length === 1 ? (messages[0] as string) : `[${messages.join(", ")}]`;
