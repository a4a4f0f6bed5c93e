import { equal } from "node:assert/strict";
import { test } from "node:test";
import type { PersistentVolumeClaim, StorageClass } from "#sdk/api/generated/types.ts";
import { classFor } from "./classes.ts";

const storageClass = (name: string, created: string, isDefault = "true"): StorageClass => ({
  metadata: {
    name,
    creationTimestamp: created,
    annotations: { "storageclass.kubernetes.io/is-default-class": isDefault },
  },
  provisioner: "p",
});
const claim = (storageClassName?: string): PersistentVolumeClaim => ({
  metadata: { name: "c" },
  spec: storageClassName === undefined ? {} : { storageClassName },
});
const OLD = "2026-01-01T00:00:00Z";
const NEW = "2026-02-01T00:00:00Z";

test("a claim without a class gets the newest default, of equals the first by name", () => {
  const classes = [
    storageClass("a", OLD),
    storageClass("c", NEW),
    storageClass("b", NEW),
    storageClass("z", NEW, "false"),
  ];
  equal(classFor(claim(), classes), "b");
});

test("a claim that says what it wants keeps it, even if it wants none", () => {
  const classes = [storageClass("a", OLD)];
  equal(classFor(claim(""), classes), undefined);
  equal(classFor(claim("other"), classes), undefined);
  const old = { metadata: { annotations: { "volume.beta.kubernetes.io/storage-class": "other" } } };
  equal(classFor(old, classes), undefined);
  equal(classFor(claim(), []), undefined);
});
