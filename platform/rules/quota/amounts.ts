/** Arithmetic on resource lists (upstream: apiserver's quota/v1/resources.go). */
import {
  addQuantities,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  type Quantity,
  quantityOf,
} from "#sdk/api/quantity.ts";

export type Amounts = Readonly<Record<string, Quantity>>;

const ZERO = quantityOf(0);

export const amountsOf = (list: Readonly<Record<string, string | number>> | undefined): Amounts =>
  Object.fromEntries(Object.entries(list ?? {}).map(([name, text]) => [name, parseQuantity(text)]));

export const textsOf = (amounts: Amounts): Record<string, string> =>
  Object.fromEntries(Object.entries(amounts).map(([name, quantity]) => [name, formatQuantity(quantity)]));

const combine = (a: Amounts, b: Amounts, by: (x: Quantity | undefined, y: Quantity) => Quantity): Amounts => {
  const result: Record<string, Quantity> = { ...a };
  for (const [name, quantity] of Object.entries(b))
    result[name] = by(Object.hasOwn(a, name) ? a[name] : undefined, quantity);
  return result;
};

export const addAmounts = (a: Amounts, b: Amounts): Amounts => combine(a, b, (x, y) => (x ? addQuantities(x, y) : y));
export const maxAmounts = (a: Amounts, b: Amounts): Amounts =>
  combine(a, b, (x, y) => (x && compareQuantities(x, y) >= 0 ? x : y));

/** a - b where both name a resource and nothing below zero; what only b names is left out. */
export const growth = (a: Amounts, b: Amounts): Amounts =>
  Object.fromEntries(
    Object.entries(a).map(([name, quantity]) => {
      const before = Object.hasOwn(b, name) ? b[name] : undefined;
      if (!before) return [name, quantity];
      const left = { ...quantity, nano: quantity.nano - before.nano };
      return [name, left.nano > 0n ? left : ZERO];
    }),
  );

export const masked = (amounts: Amounts, names: Iterable<string>): Amounts => {
  const wanted = new Set(names);
  return Object.fromEntries(Object.entries(amounts).filter(([name]) => wanted.has(name)));
};

export const withoutZeroAmounts = (amounts: Amounts): Amounts =>
  Object.fromEntries(Object.entries(amounts).filter(([, { nano }]) => nano !== 0n));

export const sameAmounts = (a: Amounts, b: Amounts): boolean => {
  const names = Object.keys(a);
  return (
    names.length === Object.keys(b).length &&
    names.every((name) => {
      const [x, y] = [a[name], Object.hasOwn(b, name) ? b[name] : undefined];
      return x !== undefined && y !== undefined && compareQuantities(x, y) === 0;
    })
  );
};

/** "cpu=1,memory=2Gi", by name. */
export const printAmounts = (amounts: Amounts): string =>
  Object.entries(amounts)
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, quantity]) => `${name}=${formatQuantity(quantity)}`)
    .join(",");

export const count = (n: number): Quantity => quantityOf(n);
