import assert from "node:assert/strict";
import { test } from "node:test";
import type { CustomResourceDefinition, ValidatingAdmissionPolicy } from "#sdk/api/generated/types.ts";
import { statusOf } from "./controller.ts";

const policy = (expression: string, rule: object, more: object = {}): ValidatingAdmissionPolicy => ({
  metadata: { name: "p", generation: 2 },
  spec: { matchConstraints: { resourceRules: [rule] }, validations: [{ expression }] },
  ...more,
});
const deployments = { apiGroups: ["apps"], apiVersions: ["v1"], resources: ["deployments"] };
const foos = { apiGroups: ["example.org"], apiVersions: ["v1"], resources: ["foos"] };
const size = { type: "object", properties: { size: { type: "integer" } } };
const definition: CustomResourceDefinition = {
  metadata: { name: "foos.example.org" },
  spec: {
    group: "example.org",
    scope: "Namespaced",
    names: { plural: "foos", kind: "Foo" },
    versions: [
      {
        name: "v1",
        served: true,
        storage: true,
        schema: { openAPIV3Schema: { type: "object", properties: { spec: size } } },
      },
    ],
  },
};
const definitions = async () => [definition];

test("what a policy's expressions cannot mean for the kinds that it matches is in its status", async () => {
  const built = await statusOf(policy("object.replicas > 1", deployments), definitions);
  assert.equal(built?.observedGeneration, 2);
  assert.match(
    built?.typeChecking?.expressionWarnings?.[0]?.warning ?? "",
    /^apps\/v1, Kind=Deployment: .*undefined field 'replicas'/s,
  );
  const custom = await statusOf(policy("object.spec.other > 1", foos), definitions);
  assert.match(custom?.typeChecking?.expressionWarnings?.[0]?.warning ?? "", /^example.org\/v1, Kind=Foo: /);
});

test("what is well is said too, once a generation", async () => {
  const well = policy("object.spec.size > 1", foos);
  assert.deepEqual(await statusOf(well, definitions), { observedGeneration: 2, typeChecking: {} });
  assert.equal(await statusOf({ ...well, status: { observedGeneration: 2 } }, definitions), undefined);
});
