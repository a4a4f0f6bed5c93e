import assert from "node:assert/strict";
import { test } from "node:test";
import type { Volume } from "#sdk/api/generated/types.ts";
import { judge, type VolumePod } from "./restrictions.ts";

const pod = (volumes: Partial<Volume>[], more: Partial<VolumePod> = {}): VolumePod => ({
  tenant: "root",
  metadata: { namespace: "default" },
  spec: { volumes: volumes.map((volume) => ({ name: "v", ...volume })) },
  ...more,
});

test("a disk is used by one pod, or by many that only read where it allows that", () => {
  const disk = (readOnly: boolean) => pod([{ gcePersistentDisk: { pdName: "d", readOnly } }]);
  assert.deepEqual(judge(disk(false), [disk(true)])?.reasons, ["node(s) had no available disk"]);
  assert.equal(judge(disk(true), [disk(true)]), undefined);
  const block = pod([{ awsElasticBlockStore: { volumeID: "d", readOnly: true } }]);
  assert.ok(judge(block, [block]));
});

test("a claim for one pod is not used by another of its namespace", () => {
  const claim = { persistentVolumeClaim: { claimName: "c" } };
  const exclusive = pod([claim], { claims: [{ name: "c", exclusive: true }] });
  assert.ok(judge(exclusive, [pod([claim])]));
  assert.equal(judge(exclusive, [pod([claim], { metadata: { namespace: "other" } })]), undefined);
  assert.equal(judge(pod([claim], { claims: [{ name: "c" }] }), [pod([claim])]), undefined);
});
