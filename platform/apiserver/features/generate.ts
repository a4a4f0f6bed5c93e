/**
 * Writes features.generated.json beside it: upstream's feature gates of a version, from the Go module k8s.io/kubernetes:
 * `node platform/apiserver/features/generate.ts DIR 1.36`, by hand, when the Kubernetes version rises.
 */
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import type { FeatureGate } from "./features.ts";

interface Listed {
  name: string;
  versionedSpecs: { default: boolean; lockToDefault: boolean; preRelease: string; version: string }[];
}

const order = (version: string): number => Number(version.split(".")[0]) * 1000 + Number(version.split(".")[1]);

const [dir = "", version = ""] = process.argv.slice(2);
const path = join(dir, "test/compatibility_lifecycle/reference/versioned_feature_list.yaml");
const gates = (parse(readFileSync(path, "utf8")) as Listed[]).flatMap(({ name, versionedSpecs }): FeatureGate[] => {
  const spec = versionedSpecs.findLast((s) => order(s.version) <= order(version));
  const stage = spec?.preRelease === "GA" ? "" : (spec?.preRelease.toUpperCase() ?? "");
  return spec ? [[name, stage, spec.default ? 1 : 0, spec.lockToDefault ? 1 : 0]] : [];
});
writeFileSync(join(import.meta.dirname, "features.generated.json"), `${JSON.stringify(gates)}\n`);
