/** The types and signatures of the expression library `authorizer`; who evaluates it says what its functions do. */
import { type CelFunction, method } from "./functions/function.ts";
import { BOOL, type CelType, opaque, STRING } from "./types.ts";

export const AUTHORIZER: CelType = opaque("kubernetes.authorization.Authorizer");
const PATH_CHECK = opaque("kubernetes.authorization.PathCheck");
const GROUP_CHECK = opaque("kubernetes.authorization.GroupCheck");
export const RESOURCE_CHECK: CelType = opaque("kubernetes.authorization.ResourceCheck");
export const AUTHORIZER_DECISION: CelType = opaque("kubernetes.authorization.Decision");

const SIGNATURES = [
  ["path", [AUTHORIZER, STRING], PATH_CHECK],
  ["group", [AUTHORIZER, STRING], GROUP_CHECK],
  ["serviceAccount", [AUTHORIZER, STRING, STRING], AUTHORIZER],
  ["resource", [GROUP_CHECK, STRING], RESOURCE_CHECK],
  ["subresource", [RESOURCE_CHECK, STRING], RESOURCE_CHECK],
  ["namespace", [RESOURCE_CHECK, STRING], RESOURCE_CHECK],
  ["name", [RESOURCE_CHECK, STRING], RESOURCE_CHECK],
  ["check", [PATH_CHECK, STRING], AUTHORIZER_DECISION],
  ["check", [RESOURCE_CHECK, STRING], AUTHORIZER_DECISION],
  ["allowed", [AUTHORIZER_DECISION], BOOL],
  ["reason", [AUTHORIZER_DECISION], STRING],
  ["errored", [AUTHORIZER_DECISION], BOOL],
  ["error", [AUTHORIZER_DECISION], STRING],
] as const satisfies readonly [string, CelType[], CelType][];

export type AuthorizerFunction = (typeof SIGNATURES)[number][0];

/** `call`: what a function does, by its name and the type of its result. */
export const authorizerLibrary = (
  call: (name: AuthorizerFunction, result: CelType) => Parameters<typeof method>[3],
): readonly CelFunction[] =>
  SIGNATURES.map(([name, parameters, result]) => method(name, [...parameters], result, call(name, result)));
