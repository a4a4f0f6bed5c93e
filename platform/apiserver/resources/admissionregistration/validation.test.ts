import { deepEqual } from "node:assert/strict";
import { describe, it } from "node:test";
import { resourceByName } from "#sdk/api/facts.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { Causes } from "../../registry/causes.ts";
import type { RequestContext, Strategy } from "../../registry/strategy.ts";
import type { ParamReaders } from "./params.ts";
import { admissionPolicyBindingStrategy, admissionPolicyStrategy } from "./policies.ts";
import { webhookConfigurationStrategy } from "./webhooks.ts";

const GROUP = "admissionregistration.k8s.io";
const context = {} as RequestContext;
const readers = {} as ParamReaders;
const strategyOf = (resource: string, make: (facts: never) => Strategy): Strategy => {
  const facts = resourceByName(GROUP, resource);
  if (!facts) throw new Error(`no facts of ${resource}`);
  return make(facts as never);
};
const shown = (causes: Causes | undefined) =>
  (causes ?? []).map(({ reason = "", field }) => `${field} ${reason.replace("FieldValue", "")}`);

describe("a webhook configuration", () => {
  const strategy = strategyOf("validatingwebhookconfigurations", webhookConfigurationStrategy);
  const hook = {
    name: "a.example.org",
    clientConfig: { url: "https://x.example.org/" },
    sideEffects: "None",
    admissionReviewVersions: ["v1"],
  };
  const object = (...webhooks: object[]): DynamicObject =>
    ({ apiVersion: `${GROUP}/v1`, kind: "ValidatingWebhookConfiguration", metadata: { name: "c" }, webhooks }) as never;
  const causes = (...webhooks: object[]) => {
    const made = object(...webhooks);
    strategy.applyDefaults?.(made);
    return shown(strategy.validate?.(made, context));
  };

  it("is refused for each thing that is wrong with it, by its field", () => {
    const rule = { operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] };
    const cases: [object, string[]][] = [
      [{}, []],
      [{ name: "short" }, ["webhooks[0].name Invalid"]],
      [{ sideEffects: "Some" }, ["webhooks[0].sideEffects NotSupported"]],
      [{ sideEffects: undefined }, ["webhooks[0].sideEffects Required"]],
      [{ timeoutSeconds: 31 }, ["webhooks[0].timeoutSeconds Invalid"]],
      [{ clientConfig: {} }, ["webhooks[0].clientConfig Required"]],
      [{ clientConfig: { url: "http://u@x/?q#f" } }, Array(4).fill("webhooks[0].clientConfig.url Invalid")],
      [{ clientConfig: { url: ":x" } }, ["webhooks[0].clientConfig.url Required"]],
      [
        { clientConfig: { service: { namespace: "n", name: "s", path: "x//", port: 0 } } },
        ["port Invalid", "path Invalid", "path Invalid", "path Invalid"].map(
          (c) => `webhooks[0].clientConfig.service.${c}`,
        ),
      ],
      [{ rules: [{ ...rule, operations: ["CREATE", "*"] }] }, ["webhooks[0].rules[0].operations Invalid"]],
      [{ rules: [{ ...rule, resources: ["pods/*", "pods/log"] }] }, ["webhooks[0].rules[0].resources[1] Invalid"]],
      [{ rules: [{ ...rule, resources: ["*", "pods"] }] }, ["webhooks[0].rules[0].resources Invalid"]],
      [{ admissionReviewVersions: ["v7"] }, ["webhooks[0].admissionReviewVersions Invalid"]],
      [
        {
          matchConditions: [
            { name: "a", expression: "object.x ==" },
            { name: "a", expression: "1" },
          ],
        },
        ["[0].expression Invalid", "[1].expression Invalid", "[1].name Duplicate"].map(
          (c) => `webhooks[0].matchConditions${c}`,
        ),
      ],
    ];
    for (const [change, expected] of cases) deepEqual(causes({ ...hook, ...change }), expected, JSON.stringify(change));
    deepEqual(causes(hook, hook), ["webhooks[1].name Duplicate"]);
  });

  it("keeps what was stored before the rules were stricter", () => {
    const lax = object({ ...hook, sideEffects: "Some", admissionReviewVersions: ["v7"] });
    deepEqual(shown(strategy.validateUpdate?.(structuredClone(lax), lax, context)), []);
    deepEqual(shown(strategy.validateUpdate?.(structuredClone(lax), object(hook), context)), [
      "webhooks[0].sideEffects NotSupported",
      "webhooks[0].admissionReviewVersions Invalid",
    ]);
  });
});

describe("an admission policy", () => {
  const strategy = strategyOf("validatingadmissionpolicies", admissionPolicyStrategy(readers));
  const match = {
    resourceRules: [{ operations: ["CREATE"], apiGroups: [""], apiVersions: ["v1"], resources: ["pods"] }],
  };
  const causes = (spec: object) => {
    const made = { apiVersion: `${GROUP}/v1`, kind: "X", metadata: { name: "p.example.org" }, spec } as never;
    strategy.applyDefaults?.(made);
    return shown(strategy.validate?.(made, context));
  };

  it("is refused for expressions that do not compile or yield another type, by their field", () => {
    const good = { matchConstraints: match, validations: [{ expression: "object.metadata.name != ''" }] };
    const cases: [object, string[]][] = [
      [good, []],
      [{ ...good, validations: [{ expression: "1" }] }, ["spec.validations[0].expression Invalid"]],
      [{ ...good, validations: [{ expression: "params.x" }] }, ["spec.validations[0].expression Invalid"]],
      [
        { ...good, paramKind: { apiVersion: "v1", kind: "ConfigMap" }, validations: [{ expression: "params.x == 1" }] },
        [],
      ],
      [
        { ...good, paramKind: { apiVersion: "a/b/c", kind: "C_" } },
        ["spec.paramKind.apiVersion Invalid", "spec.paramKind.kind Invalid"],
      ],
      [{ ...good, variables: [{ name: "for", expression: "1" }] }, ["spec.variables[0].name Invalid"]],
      [{ ...good, validations: [{ expression: "true", message: "a\nb" }] }, ["spec.validations[0].message Invalid"]],
      [{ matchConstraints: match }, ["spec.validations Required", "spec.auditAnnotations Required"]],
      [{ ...good, matchConstraints: {} }, ["spec.matchConstraints.resourceRules Required"]],
    ];
    for (const [spec, expected] of cases) deepEqual(causes(spec), expected, JSON.stringify(spec));
  });

  it("is judged by the types of what its expressions name", () => {
    const told = (spec: object) => {
      const object = { apiVersion: `${GROUP}/v1`, kind: "X", metadata: { name: "p" }, spec } as never;
      const causes = strategy.validate?.(object, context) ?? [];
      return causes.map(({ message = "" }) => /must evaluate.*|undefined field.*|undeclared.*|$/.exec(message)?.[0]);
    };
    const base = { matchConstraints: { ...match, namespaceSelector: {}, objectSelector: {}, matchPolicy: "Exact" } };
    const of = (...expressions: string[]) => expressions.map((expression) => ({ expression }));
    const names = of("request.userInfo.groups", "request.foo", "object.x", "namespaceObject.metadata.labels.a == 'b'");
    deepEqual(told({ ...base, failurePolicy: "Fail", validations: names }), [
      "must evaluate to bool but got list(string)",
      "undefined field 'foo'",
      "must evaluate to bool but got dyn",
    ]);
    const variables = [
      { name: "a", expression: "[1]" },
      { name: "b", expression: "variables.a.size() + variables.c" },
    ];
    const uses = of("variables.a", "variables.b == 1", "variables.c");
    deepEqual(told({ ...base, failurePolicy: "Fail", variables, validations: uses }), [
      "undefined field 'c'",
      "must evaluate to bool but got list(int)",
      "undefined field 'c'",
    ]);
    deepEqual(told({ ...base, failurePolicy: "Fail", validations: of("variables.a") }), [
      "undeclared reference to 'variables' (in container '')",
    ]);
    const auditAnnotations = [{ key: "a", valueExpression: "1" }];
    deepEqual(told({ ...base, failurePolicy: "Fail", auditAnnotations }), [
      "must evaluate to one of [string null_type] but got int",
    ]);
  });

  it("is bound by one that names it and says what is done", () => {
    const binding = strategyOf("validatingadmissionpolicybindings", admissionPolicyBindingStrategy(readers));
    const of = (spec: object) => shown(binding.validate?.({ metadata: { name: "b" }, spec } as never, context));
    deepEqual(of({ policyName: "p", validationActions: ["Deny"] }), []);
    deepEqual(of({}), ["spec.policyName Required", "spec.validationActions Required"]);
    deepEqual(of({ policyName: "p", validationActions: ["Deny", "Warn"] }), ["spec.validationActions Invalid"]);
    deepEqual(of({ policyName: "p", validationActions: ["Deny"], paramRef: { name: "x" } }), [
      "spec.paramRef.parameterNotFoundAction Required",
    ]);
  });
});
