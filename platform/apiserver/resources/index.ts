/** The one list of kinds with rules of their own. Every other kind of the facts is served by the generic strategy. */
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { genericStrategy } from "../registry/generic.ts";
import type { Strategy } from "../registry/strategy.ts";

export type StrategyMaker = (facts: ResourceFacts) => Strategy;

/** By "resource" or "resource.group". */
const makers: Record<string, StrategyMaker> = {};

export function strategyFor(facts: ResourceFacts): Strategy {
  const name = facts.group === "" ? facts.resource : `${facts.resource}.${facts.group}`;
  return (makers[name] ?? genericStrategy)(facts);
}
