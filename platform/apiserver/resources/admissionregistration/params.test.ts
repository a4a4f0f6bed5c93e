import { deepEqual, equal, rejects } from "node:assert/strict";
import { test } from "node:test";
import { resourceByName } from "#sdk/api/facts.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { RequestContext } from "../../registry/strategy.ts";
import { type ParamReaders, readsParamKind, readsParams } from "./params.ts";

const GROUP = "admissionregistration.k8s.io";
const facts = (resource: string) => resourceByName(GROUP, resource) as never;
const context = { tenant: 7, user: { tenant: 7, name: "jane", groups: ["dev", "ops"] } } as unknown as RequestContext;
const object = (spec: object) => ({ metadata: { name: "p" }, spec }) as unknown as DynamicObject;

/** Secrets may be read; what else was asked for is noted. */
function readersOf(policy?: object) {
  const asked: unknown[] = [];
  const readers = {
    authorizer: {
      authorize: async ({ verb, resource }: { verb: string; resource: object }) => {
        asked.push({ verb, ...resource });
        return { decision: "resource" in resource && resource.resource === "secrets" ? "allow" : "noOpinion" };
      },
    },
    store: { get: async () => policy && { document: JSON.stringify(object(policy)) } },
    paramKinds: (_tenant: number, { kind }: { kind: string }) =>
      kind === "Unknown" ? undefined : { resource: `${kind.toLowerCase()}s` },
  } as unknown as ParamReaders;
  return { readers, asked };
}

const SECRET = { apiVersion: "v1", kind: "Secret" };
const CONFIG_MAP = { apiVersion: "v1", kind: "ConfigMap" };

test("who may not read a kind gives no policy its parameters", async () => {
  const { readers, asked } = readersOf();
  const write = readsParamKind(facts("validatingadmissionpolicies"), readers);
  await write?.(object({}), undefined, context);
  await write?.(object({ paramKind: CONFIG_MAP }), object({ paramKind: CONFIG_MAP }), context);
  equal(asked.length, 0);
  await write?.(object({ paramKind: SECRET }), object({ paramKind: CONFIG_MAP }), context);
  const all = { verb: "get", group: "", version: "v1", subresource: "", namespace: "*", name: "*" };
  deepEqual(asked, [{ ...all, resource: "secrets" }]);
  const told = `spec.paramKind: Forbidden: user &{jane  [dev ops] map[]} must have "get" permission on all objects of the referenced paramKind (kind=ConfigMap, apiVersion=v1)`;
  await rejects(async () => write?.(object({ paramKind: CONFIG_MAP }), undefined, context), {
    message: `ValidatingAdmissionPolicy.${GROUP} "p" is invalid: ${told}`,
  });
  await rejects(async () => write?.(object({ paramKind: { ...CONFIG_MAP, kind: "Unknown" } }), undefined, context));
  deepEqual(asked.at(-1), { ...all, resource: "*" });
});

test("who may not read an object binds no policy to it", async () => {
  const ref = { name: "x", namespace: "a", parameterNotFoundAction: "Deny" };
  const where = { verb: "get", subresource: "", namespace: "a", name: "x" };
  const binding = object({ policyName: "p", paramRef: ref });
  const secrets = readersOf({ paramKind: SECRET });
  await readsParams(facts("validatingadmissionpolicybindings"), "validatingadmissionpolicies", secrets.readers)?.(
    binding,
    undefined,
    context,
  );
  deepEqual(secrets.asked, [{ ...where, group: "", version: "v1", resource: "secrets" }]);
  const none = readersOf();
  const write = readsParams(facts("validatingadmissionpolicybindings"), "validatingadmissionpolicies", none.readers);
  await write?.(binding, binding, context);
  equal(none.asked.length, 0);
  await rejects(async () => write?.(binding, undefined, context), /unable to get policy p to determine minimum/);
  const unknown = readersOf({ paramKind: { apiVersion: "v1", kind: "Unknown" } }).readers;
  const other = readsParams(facts("validatingadmissionpolicybindings"), "validatingadmissionpolicies", unknown);
  await rejects(async () => other?.(binding, undefined, context), /unable to resolve paramKind &\{v1 Unknown\} to/);
  deepEqual(none.asked, [{ ...where, group: "*", version: "*", resource: "*" }]);
});
