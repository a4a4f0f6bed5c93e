/** Replays exchanges recorded from kube-apiserver 1.36.3 (recorded.generated.json): the four patches, kind by kind. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { describe, it } from "node:test";
import { typeOf, types } from "#sdk/api/facts.ts";
import { type DynamicObject, type JsonObject, type ManagedFieldsEntry, parseApiVersion } from "#sdk/api/object.ts";
import { type Status, StatusError } from "#sdk/api/status.ts";
import { jsonPatch, parseJsonPatch } from "./json-patch.ts";
import { mergePatch } from "./merge-patch.ts";
import { type ApplyOptions, applyPatch, trackUpdate } from "./server-side-apply.ts";
import { strategicMergePatch } from "./strategic-merge-patch.ts";
import { typeCompiler } from "./types.ts";

interface Step {
  patch: string;
  manager: string;
  body: JsonObject;
  labels?: Record<string, string>;
  managedFields?: ManagedFieldsEntry[];
  refused?: Status;
}
interface Recorded {
  apiVersion: string;
  kind: string;
  created: DynamicObject;
  steps: Step[];
}

const recorded = JSON.parse(readFileSync(new URL("./recorded.generated.json", import.meta.url), "utf8")) as Recorded[];
const compile = typeCompiler(types());

/** The recorder writes every time as "<time>"; whether there is one matters (an apply that changes nothing has none). */
const timesHidden = (entries: ManagedFieldsEntry[] | undefined) =>
  entries?.map((entry) => (entry.time ? { ...entry, time: "<time>" } : entry));

function patched(live: DynamicObject, step: Step, o: ApplyOptions): DynamicObject {
  if (step.patch.startsWith("apply")) return applyPatch(live, step.body as unknown as DynamicObject, o);
  const document = live as unknown as JsonObject;
  const next = step.patch.startsWith("json")
    ? jsonPatch(document, parseJsonPatch(step.body))
    : step.patch.startsWith("merge")
      ? mergePatch(document, step.body)
      : strategicMergePatch(o.type, document, step.body);
  const object = next as unknown as DynamicObject;
  return { ...object, metadata: { ...object.metadata, managedFields: trackUpdate(live, object, o) } };
}

for (const { apiVersion, kind, created, steps } of recorded) {
  describe(`${apiVersion} ${kind}`, () => {
    const schema = typeOf({ ...parseApiVersion(apiVersion), kind });
    assert.ok(schema);
    const type = compile(schema);
    let live = created;
    for (const step of steps) {
      const o: ApplyOptions = {
        manager: step.manager,
        force: step.patch === "apply force",
        time: new Date(),
        apiVersion,
        kind,
        type,
        resetFields: [["status"]],
      };
      if (step.refused) {
        it(`${step.patch} is refused as upstream refuses it`, () => {
          assert.throws(
            () => patched(live, step, o),
            (error) => {
              assert.ok(error instanceof StatusError, String(error));
              assert.deepEqual(error.status, step.refused);
              return true;
            },
          );
        });
      } else {
        it(`${step.patch} leaves upstream's labels and owners`, () => {
          const next = patched(live, step, o);
          assert.deepEqual(next.metadata.labels, step.labels);
          assert.deepEqual(timesHidden(next.metadata.managedFields), step.managedFields);
          live = {
            ...live,
            metadata: {
              ...live.metadata,
              annotations: next.metadata.annotations,
              labels: step.labels,
              managedFields: step.managedFields,
            },
          };
        });
      }
    }
  });
}

describe("creation", () => {
  // Pods, Services and such get owners before admission and strategy fill in more; these kinds get nothing more.
  for (const { apiVersion, kind, created } of recorded.filter(({ kind }) =>
    /ConfigMap|Deployment|ReplicaSet|CSI/.test(kind),
  )) {
    it(`gives ${kind}'s fields to the creator as upstream does`, () => {
      const schema = typeOf({ ...parseApiVersion(apiVersion), kind });
      assert.ok(schema);
      const { managedFields, ...metadata } = created.metadata;
      const entries = trackUpdate(
        undefined,
        { ...created, metadata },
        { manager: "recorder", time: new Date(), apiVersion, kind, type: compile(schema), resetFields: [["status"]] },
      );
      assert.deepEqual(timesHidden(entries), managedFields);
    });
  }
});
