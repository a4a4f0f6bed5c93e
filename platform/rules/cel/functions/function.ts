/** How libraries declare functions. */
import type { CelType } from "../types.ts";

export interface CelFunction {
  name: string;
  /** The first parameter is what stands before the dot. */
  method: boolean;
  parameters: CelType[];
  result: CelType;
  call(args: readonly unknown[]): unknown;
  /** Cost of a call at run time; 1 when unset. */
  cost?(args: readonly unknown[], result: unknown): number;
}

type Call = (...args: never[]) => unknown;

/** `call` receives its arguments spread, of the kinds that `parameters` name (the interpreter checks them). */
export const method = (
  name: string,
  parameters: CelType[],
  result: CelType,
  call: Call,
  cost?: CelFunction["cost"],
): CelFunction => ({
  name,
  method: true,
  parameters,
  result,
  call: (args) => (call as (...args: readonly unknown[]) => unknown)(...args),
  ...(cost ? { cost } : {}),
});

export const global = (
  name: string,
  parameters: CelType[],
  result: CelType,
  call: Call,
  cost?: CelFunction["cost"],
): CelFunction => ({ ...method(name, parameters, result, call, cost), method: false });

/** A tenth for each character walked, as cel-go counts. */
export const walk = (length: number): number => Math.ceil(length * 0.1);
