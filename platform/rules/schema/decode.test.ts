import assert from "node:assert/strict";
import { test } from "node:test";
import type { JsonObject } from "#sdk/api/object.ts";
import { DecodeError, decode } from "./decode.ts";
import { applyDefaults, fillZeros } from "./fill.ts";
import { inTextOrder, scanJson, unknownField } from "./scan.ts";
import { validateSchema } from "./validate.ts";

const POD = "io.k8s.api.core.v1.Pod";
const CONFIG_MAP = "io.k8s.api.core.v1.ConfigMap";
const pod = (spec: JsonObject): JsonObject => ({ apiVersion: "v1", kind: "Pod", metadata: { name: "p" }, spec });
const container = (fields: JsonObject): JsonObject => pod({ containers: [{ name: "c", ...fields }] });

const refused = (value: JsonObject, definition: string, message: string) =>
  assert.throws(
    () => decode(value, definition),
    (error) => error instanceof DecodeError && error.message === message,
    message,
  );

test("wrong types are told as encoding/json tells them, embedded structs and named types included", () => {
  const at = "json: cannot unmarshal";
  const into = "into Go struct field";
  refused({ data: [] }, CONFIG_MAP, `${at} array ${into} ConfigMap.data of type map[string]string`);
  refused({ data: { a: 7 } }, CONFIG_MAP, `${at} number ${into} ConfigMap.data of type string`);
  refused(pod({ containers: {} }), POD, `${at} object ${into} PodSpec.spec.containers of type []v1.Container`);
  refused(pod({ containers: [[]] }), POD, `${at} array ${into} PodSpec.spec.containers of type v1.Container`);
  refused(
    container({ resources: { limits: [] } }),
    POD,
    `${at} array ${into} ResourceRequirements.spec.containers.resources.limits of type v1.ResourceList`,
  );
  refused(
    container({ livenessProbe: { httpGet: [] } }),
    POD,
    `${at} array ${into} Probe.spec.containers.livenessProbe.ProbeHandler.httpGet of type v1.HTTPGetAction`,
  );
  refused(
    container({ livenessProbe: { httpGet: { port: 99999999999 } } }),
    POD,
    `${at} number 99999999999 ${into} HTTPGetAction.spec.containers.livenessProbe.ProbeHandler.httpGet.port of type int32`,
  );
  refused(
    container({ ports: [{ containerPort: "x" }] }),
    POD,
    `${at} string ${into} ContainerPort.spec.containers.ports.containerPort of type int32`,
  );
  refused(
    container({ resources: { requests: { cpu: "No Good" } } }),
    POD,
    "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'",
  );
  const secret = "io.k8s.api.core.v1.Secret";
  refused({ data: { a: "a*==" } }, secret, "illegal base64 data at input byte 1");
  refused({ data: { a: {}, b: "a*==" } }, secret, `${at} object ${into} Secret.data of type []uint8`);
  assert.deepEqual(decode({ data: { a: [104, 105], b: [] } }, secret).object, { data: { a: "aGk=", b: "" } });
});

test("unknown fields are dropped and told with their paths", () => {
  const { object, unknown } = decode({ ...container({ foo: 1 }), bar: null }, POD);
  assert.deepEqual(object, container({}));
  assert.deepEqual(unknown.map(unknownField), ['unknown field "spec.containers[0].foo"', 'unknown field "bar"']);
});

test("nulls and empty values that Go does not write are dropped; pointers and written zeros are kept", () => {
  const { object } = decode(
    {
      metadata: { name: "p", labels: {}, annotations: null, deletionGracePeriodSeconds: 0 },
      spec: { containers: [], hostNetwork: false, terminationGracePeriodSeconds: 0, nodeName: "" },
    },
    POD,
  );
  assert.deepEqual(object, {
    metadata: { name: "p", deletionGracePeriodSeconds: 0 },
    spec: { containers: [], terminationGracePeriodSeconds: 0 },
  });
  assert.deepEqual(decode({ data: { a: null } }, CONFIG_MAP).object, { data: { a: "" } });
});

test("an empty list of scaling policies is not the same as none", () => {
  const autoscaler = { spec: { behavior: { scaleUp: { policies: [] } } } };
  assert.deepEqual(decode(autoscaler, "io.k8s.api.autoscaling.v2.HorizontalPodAutoscaler").object, autoscaler);
});

test("times are read as Go reads them, and refused in its words", () => {
  const at = (startTime: string): JsonObject => ({ status: { startTime } });
  const lease = (renewTime: string): JsonObject => ({ spec: { renewTime } });
  const LEASE = "io.k8s.api.coordination.v1.Lease";
  const as = 'as "2006-01-02T15:04:05Z07:00": cannot parse';
  refused(at("soon"), POD, `parsing time "soon" ${as} "soon" as "2006"`);
  refused(at("2026-1-1"), POD, `parsing time "2026-1-1" ${as} "1-1" as "01"`);
  refused(at("2026-02-30T00:00:00Z"), POD, 'parsing time "2026-02-30T00:00:00Z": day out of range');
  refused(at("2026-13-01T00:00:00Z"), POD, 'parsing time "2026-13-01T00:00:00Z": month out of range');
  refused(at("2026-01-01T00:00:00Zz"), POD, 'parsing time "2026-01-01T00:00:00Zz": extra text: "z"');
  refused(
    lease("2026-01-01T00:00:00Z"),
    LEASE,
    'parsing time "2026-01-01T00:00:00Z" as "2006-01-02T15:04:05.000000Z07:00": cannot parse "Z" as ".000000"',
  );
  assert.deepEqual(
    decode(lease("2026-01-01T01:00:00.123456+01:00"), LEASE).object,
    lease("2026-01-01T00:00:00.123456Z"),
  );
});

test("a schema inside a schema is read as one, or is what may stand in its place", () => {
  const CRD = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.CustomResourceDefinition";
  const crd = (schema: JsonObject): JsonObject => ({
    spec: { group: "g", versions: [{ name: "v1", schema: { openAPIV3Schema: schema } }] },
  });
  const schemaOf = (schema: JsonObject) => {
    const { spec } = decode(crd(schema), CRD).object as { spec: { versions: { schema: JsonObject }[] } };
    return spec.versions[0]?.schema["openAPIV3Schema"];
  };
  assert.deepEqual(schemaOf({ items: { type: "string", odd: 1 }, additionalProperties: false }), {
    items: { type: "string" },
    additionalProperties: false,
  });
  assert.deepEqual(schemaOf({ items: 5, dependencies: { a: ["b"] } }), { dependencies: { a: ["b"] } });
  refused(crd({ additionalProperties: "no" }), CRD, "boolean or JSON schema expected");
  refused(
    crd({ items: { type: 5 } }),
    CRD,
    "json: cannot unmarshal number into Go struct field JSONSchemaProps.type of type string",
  );
});

test("quantities and times come out canonical", () => {
  const { object } = decode(
    { ...container({ resources: { requests: { cpu: 0.5 } } }), status: { startTime: "2024-01-01T02:00:00.5+02:00" } },
    POD,
  );
  assert.deepEqual(object["status"], { startTime: "2024-01-01T00:00:00Z" });
  assert.deepEqual(object["spec"], { containers: [{ name: "c", resources: { requests: { cpu: "500m" } } }] });
});

test("a key named __proto__ is data like any other", () => {
  const { object } = decode(JSON.parse('{"data":{"__proto__":"x"}}') as JsonObject, CONFIG_MAP);
  assert.equal(JSON.stringify(object), '{"data":{"__proto__":"x"}}');
});

test("fields that stand twice are found at any depth, escapes and strings do not confuse", () => {
  const text =
    '{"metadata":{"name":"a","na\\u006de":"b"},"spec":{"containers":[{"x":"}"},{"image":"\\"{,","image":1}]},"a":[1,{"b":1}],"c":{"b":1}}';
  assert.deepEqual(scanJson(text).duplicates, ["metadata.name", "spec.containers[1].image"]);
  assert.equal(scanJson('{"a":[{"b":[]}]}').depth, 4);
});

test("absent fields get OpenAPI's real defaults, and at last what Go always writes", () => {
  const object = container({ ports: [{ containerPort: 80 }] });
  applyDefaults(object, POD);
  fillZeros(object, POD);
  assert.deepEqual(object, {
    ...pod({ containers: [{ name: "c", ports: [{ containerPort: 80, protocol: "TCP" }], resources: {} }] }),
    status: {},
  });
  const role: JsonObject = {};
  fillZeros(role, "io.k8s.api.rbac.v1.ClusterRole");
  assert.deepEqual(role, { metadata: {}, rules: null });
});

test("our own kinds are checked and defaulted by their schema", () => {
  const plugin: JsonObject = {
    metadata: { name: "p" },
    spec: { failurePolicy: "Maybe", capabilities: [{}], enabled: false },
  };
  const { object } = decode(plugin, "dev.capstan.v1.Plugin");
  applyDefaults(object, "dev.capstan.v1.Plugin");
  assert.deepEqual(object["spec"], { failurePolicy: "Maybe", capabilities: [{}], enabled: false, usage: true });
  assert.deepEqual(
    validateSchema(object, "dev.capstan.v1.Plugin").map((c) => `${c.field}: ${c.message}`),
    [
      'spec.failurePolicy: Unsupported value: "Maybe": supported values: "Fail", "Ignore"',
      "spec.capabilities[0].name: Required value",
    ],
  );
});

test("what strict decoding refuses is told in the order of the text", () => {
  const text = '{"spec":{"unknown":1,"replicas":2,"replicas":3,"last":[{"odd":1}]}}';
  assert.deepEqual(inTextOrder(text, ["spec.replicas"], ["spec.last[0].odd", "spec.unknown"]), [
    'unknown field "spec.unknown"',
    'duplicate field "spec.replicas"',
    'unknown field "spec.last[0].odd"',
  ]);
});
