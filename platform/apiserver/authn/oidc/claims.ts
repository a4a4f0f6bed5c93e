/** From the claims of a verified token to a user: by the names of claims, or by expressions (CEL) over them. */
import {
  CelEnvironment,
  type CelType,
  DYN,
  fromJson,
  listOf,
  mapOf,
  objectType,
  type Program,
  STRING,
  toJson,
} from "#platform/rules/cel/index.ts";
import type { Json, JsonObject } from "#sdk/api/object.ts";
import type { JwtConfiguration } from "./configuration.ts";

export interface MappedUser {
  name: string;
  uid?: string;
  groups: string[];
  extra: Record<string, string[]>;
}

/** Throws Error with upstream's words when the claims are not enough or a rule does not hold. */
export type ClaimsMapping = (claims: JsonObject) => MappedUser;

const strings = listOf(STRING);
const userType = objectType("kubernetes.UserInfo", {
  username: STRING,
  uid: STRING,
  groups: strings,
  extra: mapOf(STRING, strings),
});
const claimsEnvironment = new CelEnvironment({ variables: { claims: mapOf(STRING, DYN) } });
const userEnvironment = new CelEnvironment({ variables: { user: userType } });

type Wrong = (at: string, why: string) => Error;

export function compileMapping(one: JwtConfiguration, wrong: Wrong): ClaimsMapping {
  const compile = (env: CelEnvironment, at: string, source: string, wanted: readonly CelType["kind"][]): Program => {
    const result = env.compile(source, wanted);
    if (result.ok) return result.program;
    const why = result.error.startsWith("must evaluate") ? result.error : `compilation failed: ${result.error}`;
    throw wrong(at, why);
  };
  const optional = (at: string, source: string, wanted: readonly CelType["kind"][]) =>
    source === "" ? undefined : compile(claimsEnvironment, `claimMappings.${at}`, source, wanted);
  const { username, groups, uid, extra } = one.claimMappings;
  const programs = {
    username: optional("username.expression", username.expression, ["string"]),
    groups: optional("groups.expression", groups.expression, ["string", "list", "null"]),
    uid: optional("uid.expression", uid.expression, ["string"]),
  };
  const extras = extra.map(({ key, valueExpression: source }, i) => {
    const at = `claimMappings.extra[${i}].valueExpression`;
    return { key, source, program: compile(claimsEnvironment, at, source, ["string", "list", "null"]) };
  });
  const rule = (env: CelEnvironment, at: string, expression: string, message: string) => {
    const program = compile(env, `${at}.expression`, expression, ["bool"]);
    return { program, message: message || `validation expression '${expression}' failed` };
  };
  const claimRules = one.claimValidationRules
    .filter(({ expression }) => expression !== "")
    .map((r, i) => rule(claimsEnvironment, `claimValidationRules[${i}]`, r.expression, r.message));
  const required = one.claimValidationRules.filter(({ claim }) => claim !== "");
  const userRules = one.userValidationRules.map((r, i) =>
    rule(userEnvironment, `userValidationRules[${i}]`, r.expression, r.message),
  );

  return (claims) => {
    const bindings = { claims: fromJson(claims, mapOf(STRING, DYN)) };
    const value = (program: Program, what: string): Json => {
      try {
        return toJson(program.evaluate(bindings).value) as Json;
      } catch (error) {
        throw new Error(`error evaluating ${what} claim expression: ${error instanceof Error ? error.message : ""}`);
      }
    };
    const user: MappedUser = { name: nameOf(), groups: groupsOf(), extra: {} };
    const id = uidOf();
    if (id !== "") user.uid = id;
    if (typeof claims["jti"] === "string" && claims["jti"] !== "")
      user.extra["authentication.kubernetes.io/credential-id"] = [`JTI=${claims["jti"]}`];
    for (const { key, program } of extras) {
      const values = textList(value(program, "extra"), "extra");
      if (values.length > 0) user.extra[key] = values;
    }
    checkRules();
    return user;

    function nameOf(): string {
      if (programs.username) {
        const name = value(programs.username, "username");
        if (typeof name !== "string") throw new Error("username claim expression must return a string");
        if (name === "") throw new Error("empty username via CEL expression is not allowed");
        return name;
      }
      const name = textClaim(claims, username.claim, "username claims");
      if (username.claim === "email" && "email_verified" in claims && claims["email_verified"] !== true)
        throw new Error("email not verified");
      return (username.prefix ?? "") + name;
    }

    function groupsOf(): string[] {
      if (groups.claim && groups.claim in claims)
        return textList(claims[groups.claim] ?? null, "groups").map((group) => (groups.prefix ?? "") + group);
      return programs.groups ? textList(value(programs.groups, "group"), "group") : [];
    }

    function uidOf(): string {
      if (uid.claim) return textClaim(claims, uid.claim, "uid claim");
      const found = programs.uid ? value(programs.uid, "uid") : "";
      if (typeof found !== "string") throw new Error("uid claim expression must return a string");
      return found;
    }

    function checkRules(): void {
      for (const { claim, requiredValue } of required) {
        if (!(claim in claims)) throw new Error(`required claim ${claim} not present in ID token`);
        if (claims[claim] !== requiredValue) throw new Error(`required claim ${claim} value does not match`);
      }
      for (const { program, message } of claimRules)
        if (value(program, "validation") !== true) throw new Error(message);
      const { name, groups: held, extra: more } = user;
      const shown = { username: name, uid: user.uid ?? "", groups: held, extra: more };
      for (const { program, message } of userRules) {
        if (program.evaluate({ user: fromJson(shown, userType) }).value !== true) throw new Error(message);
      }
    }
  };
}

function textClaim(claims: JsonObject, name: string, what: string): string {
  const value = claims[name];
  if (typeof value !== "string")
    throw new Error(`parse ${what} ${JSON.stringify(name)}: claim not present or no string`);
  return value;
}

/** A text, a list of texts, or nothing. */
function textList(value: Json, what: string): string[] {
  if (value === null || value === "") return [];
  if (typeof value === "string") return [value];
  if (!Array.isArray(value) || value.some((one) => typeof one !== "string"))
    throw new Error(`error evaluating ${what} claim: neither a string nor a list of strings`);
  return (value as string[]).filter((one) => one !== "");
}
