/** CEL as Kubernetes speaks it. `new CelEnvironment({ variables }).compile(source).program.evaluate({ self: fromJson(…) })`. */
export type { Node } from "./ast.ts";
export {
  AUTHORIZER,
  AUTHORIZER_DECISION,
  type AuthorizerFunction,
  authorizerLibrary,
  RESOURCE_CHECK,
} from "./authorizer.ts";
export { fieldName, fromJson, toJson } from "./convert.ts";
export {
  CALL_COST_MAX,
  CelEnvironment,
  type Compiled,
  type EnvironmentOptions,
  type Program,
  REQUEST_COST_MAX,
} from "./environment.ts";
export { CelCostExceeded, CelError } from "./errors.ts";
export { estimatedCost, type Sized } from "./estimate.ts";
export { type CelFunction, global, method } from "./functions/function.ts";
export { toQuantity, toSemver } from "./functions/kubernetes.ts";
export { matches, re2 } from "./patterns.ts";
export * from "./types.ts";
export { Duration, kindOf, ObjectValue, OpaqueValue, Optional, Timestamp, Uint } from "./values.ts";
