import { equal, match } from "node:assert/strict";
import { existsSync } from "node:fs";
import test from "node:test";
import { DESCRIPTIONS_FILE, descriptionOf } from "../descriptions.ts";
import { buildDescriptions } from "./descriptions.ts";

test("types and fields have upstream's descriptions, paragraphs and quotes as they were written", () => {
  buildDescriptions();
  equal(existsSync(DESCRIPTIONS_FILE), true);
  equal(buildDescriptions(), false, "what is there already is built once more");
  const meta = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";
  match(descriptionOf(meta, "creationTimestamp") ?? "", /^CreationTimestamp is .*\n\nPopulated by the system\./);
  match(descriptionOf("io.k8s.api.core.v1.Pod") ?? "", /^Pod is a collection of containers/);
  match(descriptionOf("io.k8s.api.core.v1.ConfigMap", "data") ?? "", /'-', '_' or '\.'/);
  match(descriptionOf("io.k8s.api.discovery.v1.EndpointPort", "port") ?? "", /port/);
  equal(descriptionOf("io.k8s.api.core.v1.Pod", "unheardOf"), undefined);
});
