/** Secrets. */
import type { Secret } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue, required } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { validateData, validateImmutable } from "../configmaps/strategy.ts";

/** Keys that a type promises to its readers. */
const REQUIRED_KEYS: Record<string, string[]> = {
  "kubernetes.io/dockercfg": [".dockercfg"],
  "kubernetes.io/dockerconfigjson": [".dockerconfigjson"],
  "kubernetes.io/ssh-auth": ["ssh-privatekey"],
  "kubernetes.io/tls": ["tls.crt", "tls.key"],
};
const ACCOUNT = "kubernetes.io/service-account.name";

function validate(secret: Secret): Causes {
  const { data = {}, type = "" } = secret;
  const causes = validateData(undefined, data, "data");
  for (const key of REQUIRED_KEYS[type] ?? []) if (!Object.hasOwn(data, key)) causes.push(required(`data[${key}]`));
  const json = type === "kubernetes.io/dockerconfigjson" ? data[".dockerconfigjson"] : undefined;
  if (json !== undefined && !isJson(json))
    causes.push(invalidValue("data[.dockerconfigjson]", "<secret contents redacted>", "invalid character"));
  if (type === "kubernetes.io/service-account-token" && !secret.metadata.annotations?.[ACCOUNT]) {
    causes.push(required(`metadata.annotations[${ACCOUNT}]`));
  }
  if (type === "kubernetes.io/basic-auth" && !Object.hasOwn(data, "username") && !Object.hasOwn(data, "password")) {
    causes.push(required("data[username]"), required("data[password]"));
  }
  return causes;
}

function isJson(base64: string): boolean {
  try {
    JSON.parse(Buffer.from(base64, "base64").toString("utf8"));
    return true;
  } catch {
    return false;
  }
}

export const secretStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    applyDefaults(object) {
      const secret = as<Secret>(object);
      secret.type ||= "Opaque";
      // What is written as text is kept in base64 and never read back as text.
      const { stringData } = secret;
      delete secret.stringData;
      if (!stringData || Object.keys(stringData).length === 0) return;
      const encoded = Object.entries(stringData).map(([k, v]) => [k, Buffer.from(v).toString("base64")]);
      secret.data = { ...secret.data, ...Object.fromEntries(encoded) };
    },
    validate: (object) => validate(as<Secret>(object)),
    validateUpdate(next, old) {
      const [secret, before] = [as<Secret>(next), as<Secret>(old)];
      const causes = validateImmutable(secret, before, ["data"]);
      if (secret.type !== before.type) causes.push(invalidValue("type", secret.type, "field is immutable"));
      return [...causes, ...validate(secret)];
    },
    fieldNames: ["type"],
    fields: (object) => ({ type: as<Secret>(object).type ?? "" }),
  });
