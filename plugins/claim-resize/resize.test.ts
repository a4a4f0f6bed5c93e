import { equal, match } from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolumeClaim, StorageClass } from "#sdk/api/generated/types.ts";
import { refusal } from "./resize.ts";

const claim = (storage: string, phase = "Bound", storageClassName = "fast"): PersistentVolumeClaim => ({
  metadata: {},
  spec: { storageClassName, resources: { requests: { storage } } },
  status: { phase },
});
const fast: StorageClass = { metadata: { name: "fast" }, provisioner: "p", allowVolumeExpansion: true };
const { allowVolumeExpansion: _, ...fixed } = fast;

test("a bound claim grows where its class allows it", () => {
  equal(refusal(claim("2Gi"), claim("1Gi"), fast), undefined);
  equal(refusal(claim("1024Mi"), claim("1Gi"), undefined), undefined);
});

test("what is not bound, or whose class does not grow, is refused in upstream's words", () => {
  equal(refusal(claim("2Gi"), claim("1Gi", "Pending"), fast), "Only bound persistent volume claims can be expanded");
  match(refusal(claim("2Gi"), claim("1Gi"), fixed) ?? "", /^only dynamically provisioned pvc can be resized/);
  match(refusal(claim("2Gi"), claim("1Gi"), undefined) ?? "", /must support resize$/);
  match(refusal(claim("2Gi", "Bound", ""), claim("1Gi", "Bound", ""), fast) ?? "", /^only dynamically/);
});
