import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import { printerOf } from "./columns.ts";
import { conditionOf, type Definition } from "./definition.ts";
import { findAll, parsePath, setAt } from "./json-path.ts";
import { acceptNames } from "./names.ts";
import { validateDefinition, validateDefinitionUpdate } from "./validation.ts";

const NOW = "2026-01-01T00:00:00Z";
const schema: StructuralSchema = { type: "object", properties: { spec: { type: "object" } } };
const version = (name: string, more: object = {}) => ({
  name,
  served: true,
  storage: true,
  schema: { openAPIV3Schema: schema },
  ...more,
});

function definition(change: (d: Definition) => void = () => undefined): Definition {
  const made: Definition = {
    metadata: { name: "foos.x.example", uid: "1" },
    spec: {
      group: "x.example",
      scope: "Namespaced",
      names: { plural: "foos", singular: "foo", kind: "Foo", listKind: "FooList" },
      versions: [version("v1")],
      conversion: { strategy: "None" },
    },
    status: { storedVersions: ["v1"] },
  };
  change(made);
  return made;
}

const told = (causes: readonly { field?: string; reason?: string }[]) =>
  causes.map(({ field, reason }) => `${field} ${reason?.replace("FieldValue", "")}`);

test("a definition is refused by field and reason as upstream refuses it", () => {
  const cases: [(d: Definition) => void, string[]][] = [
    [() => undefined, []],
    [(d) => Object.assign(d.metadata, { name: "bars.x.example" }), ["metadata.name Invalid"]],
    [(d) => Object.assign(d.spec, { scope: "World" }), ["spec.scope NotSupported"]],
    [
      (d) => Object.assign(d.spec, { versions: [version("No Such!")] }),
      [
        "spec.versions[0].name Invalid",
        "spec.version Invalid",
        "status.storedVersions Invalid",
        "status.storedVersions[0] Invalid",
      ],
    ],
    [
      (d) => Object.assign(d.spec, { versions: [version("v1"), version("v2")] }),
      ["spec.versions Invalid", "status.storedVersions Invalid"],
    ],
    [(d) => Object.assign(d.spec.names, { kind: "FooList" }), ["spec.names.listKind Invalid"]],
    [(d) => Object.assign(d.spec.names, { shortNames: ["F_"] }), ["spec.names.shortNames[0] Invalid"]],
    [
      (d) => Object.assign(d.spec.versions[0] ?? {}, { schema: { openAPIV3Schema: { type: "string" } } }),
      ["spec.validation.openAPIV3Schema.type Invalid"],
    ],
    [
      (d) =>
        Object.assign(d.spec.versions[0] ?? {}, {
          additionalPrinterColumns: [{ name: "N", type: "text", jsonPath: ".spec.n" }],
        }),
      ["spec.additionalPrinterColumns[0].type Invalid"],
    ],
    [
      (d) => Object.assign(d.spec.versions[0] ?? {}, { deprecationWarning: "old" }),
      ["spec.versions[0].deprecationWarning Invalid"],
    ],
    [(d) => Object.assign(d.spec, { preserveUnknownFields: true }), ["spec.preserveUnknownFields Invalid"]],
    [
      (d) => {
        d.spec.group = "x.k8s.io";
        d.metadata.name = "foos.x.k8s.io";
      },
      ["metadata.annotations[api-approved.kubernetes.io] Required"],
    ],
    [
      (d) =>
        Object.assign(d.spec.versions[0] ?? {}, {
          selectableFields: [{ jsonPath: ".spec" }, { jsonPath: ".spec.x" }, { jsonPath: "spec" }],
        }),
      [0, 1, 2].map((i) => `spec.selectableFields[${i}].jsonPath Invalid`),
    ],
    [
      (d) => {
        const scale = { specReplicasPath: "spec.n", statusReplicasPath: ".spec.n" };
        d.spec.versions = [version("v1", { subresources: { scale } }), version("v2", { storage: false })];
      },
      [
        "spec.versions[0].subresources.scale.specReplicasPath Invalid",
        "spec.versions[0].subresources.scale.statusReplicasPath Invalid",
      ],
    ],
    [
      (d) =>
        Object.assign(d.spec, {
          conversion: { strategy: "Webhook", webhook: { clientConfig: {}, conversionReviewVersions: ["v9"] } },
        }),
      ["spec.conversion.webhookClientConfig Required", "spec.conversion.conversionReviewVersions Invalid"],
    ],
  ];
  for (const [change, expected] of cases) deepEqual(told(validateDefinition(definition(change))), expected);
});

test("group and plural never change, scope and kind not once the definition is established", () => {
  const old = definition();
  const next = definition((d) => {
    d.spec.scope = "Cluster";
    d.spec.names.kind = "Bar";
  });
  deepEqual(told(validateDefinitionUpdate(next, old)), []);
  acceptNames(old, [], NOW);
  deepEqual(told(validateDefinitionUpdate(next, old)), ["spec.scope Invalid", "spec.names.kind Invalid"]);
});

test("names that another definition of the group holds are not accepted, the others are", () => {
  const first = definition();
  equal(acceptNames(first, [], NOW), true);
  equal(acceptNames(first, [], NOW), false);
  equal(conditionOf(first, "Established")?.reason, "InitialNamesAccepted");
  const second = definition((d) => {
    d.metadata = { name: "bars.x.example", uid: "2" };
    d.spec.names = { plural: "bars", singular: "bar", kind: "Foo", listKind: "BarList" };
  });
  acceptNames(second, [first], NOW);
  deepEqual(
    [conditionOf(second, "NamesAccepted")?.reason, conditionOf(second, "Established")?.reason],
    ["KindConflict", "NotAccepted"],
  );
  deepEqual(second.status?.acceptedNames, { plural: "bars", kind: "", singular: "bar", listKind: "BarList" });
  const elsewhere = definition((d) => {
    d.spec.group = "y.example";
    d.metadata.uid = "3";
  });
  acceptNames(elsewhere, [first], NOW);
  equal(conditionOf(elsewhere, "Established")?.status, "True");
});

test("paths find names, quoted names, places, all and what a filter keeps", () => {
  const object = {
    metadata: { labels: { "a.b/c": "x" } },
    list: [
      { type: "Ready", n: 1 },
      { type: "Other", n: 5 },
    ],
  };
  const cases: [string, unknown[]][] = [
    [".metadata.labels['a.b/c']", ["x"]],
    [".list[0].type", ["Ready"]],
    [".list[-1].type", ["Other"]],
    [".list[*].n", [1, 5]],
    ['.list[?(@.type=="Ready")].n', [1]],
    [".list[?(@.n>2)].type", ["Other"]],
    [".none.at.all", []],
  ];
  for (const [path, expected] of cases) deepEqual(findAll(object, parsePath(path) ?? []), expected, path);
  for (const bad of ["", "spec", ".a[", ".a[?(@.b~1)]"]) equal(parsePath(bad), undefined, bad);
  const made: Record<string, unknown> = {};
  setAt(made, parsePath(".spec.replicas") ?? [], 3);
  deepEqual(made, { spec: { replicas: 3 } });
});

test("columns show what they find in their type, and nothing where it is another", () => {
  const { columns, cells } = printerOf(
    version("v1", {
      additionalPrinterColumns: [
        { name: "N", type: "integer", jsonPath: ".spec.n" },
        { name: "Since", type: "date", jsonPath: ".spec.since" },
        { name: "What", type: "string", jsonPath: ".spec.what" },
      ],
    }),
  );
  deepEqual(
    columns.map((c) => c.name),
    ["Name", "N", "Since", "What"],
  );
  const now = Date.parse("2026-01-01T02:00:00Z");
  const row = (spec: object) => cells({ metadata: { name: "a" }, spec } as Parameters<typeof cells>[0], now);
  deepEqual(row({ n: 2.7, since: NOW, what: { a: 1 } }), ["a", 2, "120m", '{"a":1}']);
  deepEqual(row({ n: "2", since: "soon" }), ["a", null, "<invalid>", null]);
});
