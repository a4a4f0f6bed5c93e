/** What is asked, as a SubjectAccessReview (authorization.k8s.io/v1) says it: for webhooks, and for the expressions that choose them. */

import { ROOT_TENANT } from "#platform/store/port.ts";
import type { Json, JsonObject } from "#sdk/api/object.ts";
import type { AuthorizationAttributes } from "./authorizer.ts";

/** Who is asked about another tenant's objects is told so. */
const TENANT_EXTRA = "capstan.dev/tenant";

export function accessReviewSpec(a: AuthorizationAttributes): JsonObject {
  const { user, resource, verb, path } = a;
  const foreign = a.tenant === ROOT_TENANT ? {} : { [TENANT_EXTRA]: [String(a.tenant)] };
  const extra = { ...user.extra, ...foreign } as JsonObject;
  return {
    ...(resource
      ? { resourceAttributes: resourceAttributes(a) }
      : { nonResourceAttributes: texts({ path: path ?? "", verb }) }),
    user: user.name,
    groups: [...user.groups],
    ...(Object.keys(extra).length > 0 ? { extra } : {}),
    ...(user.uid ? { uid: user.uid } : {}),
  };
}

function resourceAttributes({ resource, verb, fieldSelector, labelSelector }: AuthorizationAttributes): JsonObject {
  const {
    namespace = "",
    group = "",
    version = "",
    resource: name = "",
    subresource = "",
    name: object = "",
  } = resource ?? {};
  const fields = fieldRequirements(fieldSelector ?? "");
  const labels = labelRequirements(labelSelector ?? "");
  return {
    ...texts({ namespace, verb, group, version, resource: name, subresource, name: object }),
    ...(fields.length > 0 ? { fieldSelector: { requirements: fields } } : {}),
    ...(labels.length > 0 ? { labelSelector: { requirements: labels } } : {}),
  };
}

const texts = (all: Record<string, string>): JsonObject =>
  Object.fromEntries(Object.entries(all).filter(([, value]) => value !== ""));

/** What cannot be read is left out: a selector only narrows what is asked. */
function fieldRequirements(text: string): Json[] {
  return text.split(",").flatMap((part): Json[] => {
    const [, key = "", operator = "", value = ""] = /^([^=!]+)(!=|==|=)(.*)$/.exec(part.trim()) ?? [];
    return key === "" ? [] : [{ key, operator: operator === "!=" ? "NotIn" : "In", values: [value] }];
  });
}

const SET = /^(\S+)\s+(in|notin)\s+\(([^)]*)\)$/;

function labelRequirements(text: string): Json[] {
  return text.split(/,(?![^(]*\))/).flatMap((part): Json[] => {
    const one = part.trim();
    const [, name, how, values = ""] = SET.exec(one) ?? [];
    if (name) {
      const operator = how === "in" ? "In" : "NotIn";
      return [{ key: name, operator, values: values.split(",").map((v) => v.trim()) }];
    }
    const [, key, operator, value = ""] = /^([^=!]+)(!=|==|=)(.*)$/.exec(one) ?? [];
    if (key) return [{ key: key.trim(), operator: operator === "!=" ? "NotIn" : "In", values: [value.trim()] }];
    if (/^![^=\s]+$/.test(one)) return [{ key: one.slice(1), operator: "DoesNotExist" }];
    return /^[^=!\s]+$/.test(one) ? [{ key: one, operator: "Exists" }] : [];
  });
}
