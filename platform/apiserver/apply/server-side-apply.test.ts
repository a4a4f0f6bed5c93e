import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { typeOf, types } from "#sdk/api/facts.ts";
import type { DynamicObject, JsonObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import { LAST_APPLIED_ANNOTATION } from "./last-applied.ts";
import { UPDATERS_MAX } from "./managed-fields.ts";
import { type ApplyOptions, applyPatch, managerName, trackUpdate } from "./server-side-apply.ts";
import { typeCompiler } from "./types.ts";

const schema = typeOf({ group: "apps", version: "v1", kind: "Deployment" });
assert.ok(schema);
const type = typeCompiler(types())(schema);
const NOON = new Date("2026-01-02T12:00:00.987Z");

const options = (manager: string, more: Partial<ApplyOptions> = {}): ApplyOptions => ({
  manager,
  force: false,
  time: NOON,
  apiVersion: "apps/v1",
  kind: "Deployment",
  type,
  ...more,
});
const config = (spec: JsonObject, metadata: JsonObject = {}): DynamicObject =>
  ({
    apiVersion: "apps/v1",
    kind: "Deployment",
    metadata: { name: "web", ...metadata },
    spec,
  }) as unknown as DynamicObject;
const containers = (...list: JsonObject[]): JsonObject => ({ template: { spec: { containers: list } } });
const created = (object: DynamicObject): DynamicObject => ({ ...object, metadata: { ...object.metadata, uid: "1" } });
const namesOf = (object: DynamicObject): string[] => {
  const spec = object["spec"] as { template: { spec: { containers: { name: string }[] } } };
  return spec.template.spec.containers.map(({ name }) => name);
};
const fieldsOf = (object: DynamicObject, manager: string) =>
  object.metadata.managedFields?.find((entry) => entry.manager === manager)?.fieldsV1;
const isConflict = (error: unknown): error is StatusError => error instanceof StatusError && error.code === 409;

describe("server-side apply", () => {
  it("creates with exactly the applied fields owned, times in whole seconds", () => {
    const object = applyPatch(undefined, config({ replicas: 3 }), options("one"));
    assert.deepEqual(object.metadata.managedFields, [
      {
        manager: "one",
        operation: "Apply",
        apiVersion: "apps/v1",
        time: "2026-01-02T12:00:00Z",
        fieldsType: "FieldsV1",
        fieldsV1: { "f:spec": { "f:replicas": {} } },
      },
    ]);
  });
  it("removes what the manager said before and says no more", () => {
    const first = created(applyPatch(undefined, config({ replicas: 3, paused: true }), options("one")));
    const second = applyPatch(first, config({ replicas: 3 }), options("one"));
    assert.deepEqual(second["spec"], { replicas: 3 });
  });
  it("keeps what another manager owns too", () => {
    const first = created(applyPatch(undefined, config({ replicas: 3, paused: true }), options("one")));
    const shared = applyPatch(first, config({ paused: true }), options("two"));
    const second = applyPatch(shared, config({ replicas: 3 }), options("one"));
    assert.deepEqual(second["spec"], { replicas: 3, paused: true });
    assert.deepEqual(fieldsOf(second, "two"), { "f:spec": { "f:paused": {} } });
  });
  it("removes a list item that it alone owned, and keeps one to which others added fields", () => {
    const both = config(containers({ name: "a", image: "x" }, { name: "b", image: "x" }));
    const first = created(applyPatch(undefined, both, options("one")));
    const other = applyPatch(first, config(containers({ name: "b", tty: true })), options("two"));
    const second = applyPatch(other, config(containers({ name: "c", image: "x" })), options("one"));
    assert.deepEqual(namesOf(second), ["b", "c"]);
  });
  it("keeps the live order of other items and the configuration's order of its own", () => {
    const live = created(config(containers({ name: "a" }, { name: "b" }, { name: "c" })));
    const next = applyPatch(live, config(containers({ name: "c" }, { name: "a" })), options("one", { force: true }));
    assert.deepEqual(namesOf(next), ["b", "c", "a"]);
  });
  it("conflicts with a value that someone else set, and takes it over by force", () => {
    const live = created(applyPatch(undefined, config({ replicas: 3 }), options("kubectl-client-side-apply")));
    live.metadata.managedFields = live.metadata.managedFields?.map((entry) => ({ ...entry, operation: "Update" }));
    assert.throws(
      () => applyPatch(live, config({ replicas: 5 }), options("one")),
      (error) => {
        assert.ok(isConflict(error));
        assert.equal(
          error.message,
          'Apply failed with 1 conflict: conflict with "kubectl-client-side-apply" using apps/v1: .spec.replicas',
        );
        assert.deepEqual(error.status.details?.causes, [
          {
            reason: "FieldManagerConflict",
            message: 'conflict with "kubectl-client-side-apply" using apps/v1',
            field: ".spec.replicas",
          },
        ]);
        return true;
      },
    );
    const next = applyPatch(live, config({ replicas: 5 }), options("one", { force: true }));
    assert.deepEqual(next["spec"], { replicas: 5 });
    assert.equal(fieldsOf(next, "kubectl-client-side-apply"), undefined);
  });
  it("shares a field with another applier that says the same", () => {
    const first = created(applyPatch(undefined, config({ replicas: 3 }), options("one")));
    const second = applyPatch(first, config({ replicas: 3 }), options("two"));
    assert.equal(second.metadata.managedFields?.length, 2);
    assert.equal(second.metadata.managedFields?.find(({ manager }) => manager === "two")?.time, undefined);
  });
  it("gives an object without owners to before-first-apply", () => {
    const live = created(config({ replicas: 3 }));
    assert.throws(() => applyPatch(live, config({ replicas: 4 }), options("one")), {
      message: /conflict with "before-first-apply" using apps\/v1: \.spec\.replicas/,
    });
  });
  it("takes over what kubectl applied from the client's side, and refreshes its annotation", () => {
    const last = JSON.stringify(config({ replicas: 3 }));
    const made = config({ replicas: 3 }, { annotations: { [LAST_APPLIED_ANNOTATION]: last } });
    const managedFields = trackUpdate(undefined, made, options("kubectl-client-side-apply"));
    const live = created({ ...made, metadata: { ...made.metadata, managedFields } });
    const next = applyPatch(live, config({ replicas: 4 }), options("kubectl"));
    assert.deepEqual(next["spec"], { replicas: 4 });
    assert.deepEqual(JSON.parse(next.metadata.annotations?.[LAST_APPLIED_ANNOTATION] ?? ""), config({ replicas: 4 }));
    assert.throws(() => applyPatch(live, config({ replicas: 4 }), options("other")), isConflict);
  });
  it("does not own or change fields that the endpoint resets", () => {
    const applied = { ...config({ replicas: 1 }), status: { replicas: 9 } };
    const next = applyPatch(undefined, applied, options("one", { resetFields: [["status"]] }));
    assert.deepEqual(fieldsOf(next, "one"), { "f:spec": { "f:replicas": {} } });
  });
  it("refuses another kind, managedFields, unknown fields and items named twice", () => {
    const other = { ...config({}), kind: "Pod" };
    assert.throws(() => applyPatch(undefined, other, options("one")), {
      message: "invalid object type: apps/v1, Kind=Pod",
    });
    assert.throws(() => applyPatch(undefined, config({}, { managedFields: [] }), options("one")), {
      message: "metadata.managedFields must be nil",
    });
    assert.throws(() => applyPatch(undefined, config({ nope: 1 }), options("one")), {
      message:
        "failed to create typed patch object (/web; apps/v1, Kind=Deployment): .spec.nope: field not declared in schema",
    });
    assert.throws(() => applyPatch(undefined, config(containers({ name: "a" }, { name: "a" })), options("one")), {
      message: /\.spec\.template\.spec\.containers: duplicate entries for key \[name="a"\]$/,
    });
  });
  it("knows a port by its number and the default protocol", () => {
    const port = (more: JsonObject) => config(containers({ name: "a", ports: [{ containerPort: 80, ...more }] }));
    const live = created(applyPatch(undefined, port({ protocol: "TCP", name: "http" }), options("one")));
    const next = applyPatch(live, port({}), options("two"));
    assert.deepEqual(next["spec"], live["spec"]);
  });
  it("names the subresource in a conflict", () => {
    const before = created({ ...config({}), status: { replicas: 1 } });
    const after = { ...before, status: { replicas: 2 } };
    const managedFields = trackUpdate(undefined, after, options("ctl", { subresource: "status" }));
    const live = { ...after, metadata: { ...after.metadata, managedFields } };
    assert.throws(
      () => applyPatch(live, { ...config({}), status: { replicas: 3 } }, options("one", { subresource: "status" })),
      { message: /conflict with "ctl" with subresource "status" using apps\/v1: \.status\.replicas/ },
    );
  });
});

describe("tracking of updates", () => {
  const base = () => {
    const object = config({ replicas: 1, paused: true });
    return created({
      ...object,
      metadata: { ...object.metadata, managedFields: trackUpdate(undefined, object, options("a")) },
    });
  };
  const changed = (live: DynamicObject, spec: JsonObject): DynamicObject => ({ ...live, spec });

  it("takes what it changes from the previous owner", () => {
    const live = base();
    const entries = trackUpdate(live, changed(live, { replicas: 2, paused: true }), options("b"));
    assert.deepEqual(
      entries?.map(({ manager, fieldsV1 }) => [manager, fieldsV1]),
      [
        ["a", { "f:spec": { "f:paused": {} } }],
        ["b", { "f:spec": { "f:replicas": {} } }],
      ],
    );
  });
  it("returns the live entries, and moves no time, when nothing changed", () => {
    const live = base();
    const later = options("b", { time: new Date("2027-01-01T00:00:00Z") });
    assert.equal(trackUpdate(live, structuredClone(live), later), live.metadata.managedFields);
  });
  it("forgets removed fields", () => {
    const live = base();
    const entries = trackUpdate(live, changed(live, { replicas: 1 }), options("b"));
    assert.deepEqual(
      entries?.map(({ fieldsV1 }) => fieldsV1),
      [{ "f:spec": { "f:replicas": {} } }],
    );
  });
  it("keeps the live owners for a client that sends none, and forgets them on an explicit empty list", () => {
    const live = base();
    const next = changed(live, { replicas: 2, paused: true });
    const { managedFields: _, ...metadata } = next.metadata;
    assert.equal(trackUpdate(live, { ...next, metadata }, options("b"))?.length, 2);
    assert.equal(trackUpdate(live, { ...next, metadata: { ...metadata, managedFields: [] } }, options("b")), undefined);
    assert.equal(
      trackUpdate(live, { ...next, metadata: { ...metadata, managedFields: [{}] } }, options("b")),
      undefined,
    );
  });
  it("does not begin tracking an object that nobody tracked", () => {
    const live = created(config({ replicas: 1 }));
    assert.equal(trackUpdate(live, changed(live, { replicas: 2 }), options("b")), undefined);
  });
  it("merges the oldest updaters when there are too many", () => {
    let live = base();
    for (let i = 0; i < UPDATERS_MAX + 5; i++) {
      const next = { ...live, metadata: { ...live.metadata, labels: { ...live.metadata.labels, [`l${i}`]: "x" } } };
      const o = options(`m${i}`, { time: new Date(NOON.getTime() + (i + 1) * 1000) });
      live = { ...next, metadata: { ...next.metadata, managedFields: trackUpdate(live, next, o) } };
    }
    assert.equal(live.metadata.managedFields?.length, UPDATERS_MAX);
    assert.ok(fieldsOf(live, "ancient-changes"));
  });
  it("sorts appliers before updaters, then by time and name", () => {
    const live = applyPatch(base(), config({ minReadySeconds: 1 }), options("z"));
    assert.deepEqual(
      live.metadata.managedFields?.map(({ operation, manager }) => [operation, manager]),
      [
        ["Apply", "z"],
        ["Update", "a"],
      ],
    );
  });
  it("drops owners it cannot read instead of failing the write", () => {
    const live = base();
    live.metadata.managedFields = [
      { manager: "a", operation: "Update", apiVersion: "apps/v1", fieldsType: "FieldsV1", fieldsV1: { bad: {} } },
    ];
    assert.equal(trackUpdate(live, changed(live, { replicas: 2 }), options("b")), undefined);
  });
  it("takes the manager from the user agent when none is given", () => {
    assert.equal(managerName(undefined, "kubectl/v1.36.3 (linux/amd64)"), "kubectl");
    assert.equal(managerName("mine", "kubectl/v1"), "mine");
    assert.equal(managerName("", undefined), "");
  });
});
