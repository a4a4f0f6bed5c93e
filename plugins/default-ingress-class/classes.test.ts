import { equal } from "node:assert/strict";
import { test } from "node:test";
import type { Ingress, IngressClass } from "#sdk/api/generated/types.ts";
import { classFor } from "./classes.ts";

const ingressClass = (name: string, creationTimestamp: string, isDefault = "true"): IngressClass => ({
  metadata: { name, creationTimestamp, annotations: { "ingressclass.kubernetes.io/is-default-class": isDefault } },
});
const classes = [
  ingressClass("old", "2026-01-01T00:00:00Z"),
  ingressClass("new", "2026-02-01T00:00:00Z"),
  ingressClass("other", "2026-03-01T00:00:00Z", "false"),
];

test("an ingress without a class gets the newest default", () => {
  equal(classFor({ metadata: {}, spec: {} }, classes), "new");
});

test("an ingress that names one, in either way, keeps it", () => {
  equal(classFor({ metadata: {}, spec: { ingressClassName: "other" } }, classes), undefined);
  const annotated: Ingress = { metadata: { annotations: { "kubernetes.io/ingress.class": "other" } }, spec: {} };
  equal(classFor(annotated, classes), undefined);
});
