import assert from "node:assert/strict";
import { test } from "node:test";
import { definitionOf } from "#sdk/api/facts.ts";
import type { ValidatingAdmissionPolicySpec } from "#sdk/api/generated/types.ts";
import { builtInType, customType, resourcesOf, typeWarnings } from "./type-checking.ts";

const deployment = { group: "apps", version: "v1", kind: "Deployment" };
const kinds = () => {
  const type = builtInType(definitionOf(deployment));
  assert.ok(type);
  return [{ kind: deployment, type }];
};
const warned = (expression: string, more: Partial<ValidatingAdmissionPolicySpec> = {}) =>
  typeWarnings({ validations: [{ expression }], ...more }, kinds(), undefined).map(({ warning }) => warning);

test("what can be is not warned about", () => {
  for (const expression of [
    "object.spec.replicas > 1",
    "object.metadata.labels['a'] == 'b' && object.metadata.creationTimestamp < timestamp('2030-01-01T00:00:00Z')",
    "object.spec.template.spec.containers.all(c, c.image.startsWith('r/') && quantity(c.resources.limits['cpu']).isInteger())",
    "request.userInfo.username == 'u' && namespaceObject.metadata.name != 'x'",
    "authorizer.group('').resource('pods').check('get').allowed()",
    "object.spec.strategy.rollingUpdate.maxSurge == '1' || object.spec.strategy.rollingUpdate.maxSurge == 1",
  ])
    assert.deepEqual(warned(expression), [], expression);
});

test("fields that are not there and types that do not fit are told with the kind", () => {
  const [missing = ""] = warned("object.replicas > 1");
  assert.match(
    missing,
    /^apps\/v1, Kind=Deployment: compilation failed: ERROR: <input>:1:7: undefined field 'replicas'/,
  );
  assert.match(warned("object.spec.replicas == '1'")[0] ?? "", /no matching overload for '_==_'/);
  assert.match(warned("request.verb == 'get'")[0] ?? "", /undefined field 'verb'/);
});

test("variables have the types of their expressions", () => {
  const variables = [{ name: "replicas", expression: "object.spec.replicas" }];
  assert.deepEqual(warned("variables.replicas > 1", { variables }), []);
  assert.match(warned("variables.replicas.startsWith('1')", { variables })[0] ?? "", /no matching overload/);
  assert.match(warned("variables.other > 1", { variables })[0] ?? "", /undefined field 'other'/);
});

test("custom resources are checked by their schema, with the metadata that every object has", () => {
  const type = customType(
    { type: "object", properties: { spec: { type: "object", properties: { size: { type: "integer" } } } } },
    "Foo",
  );
  assert.ok(type);
  const kind = { group: "example.org", version: "v1", kind: "Foo" };
  const of = (expression: string) => typeWarnings({ validations: [{ expression }] }, [{ kind, type }], undefined);
  assert.deepEqual(of("object.spec.size > 1 && object.metadata.labels.size() > 0"), []);
  assert.equal(of("object.spec.other > 1")[0]?.fieldRef, "spec.validations[0].expression");
});

test("only kinds that the rules name outright are looked at", () => {
  const rules = [
    { apiGroups: ["apps"], apiVersions: ["v1"], resources: ["deployments", "deployments/scale", "*"] },
    { apiGroups: ["*"], apiVersions: ["v1"], resources: ["pods"] },
  ];
  assert.deepEqual(resourcesOf(rules), [{ group: "apps", version: "v1", resource: "deployments" }]);
});
