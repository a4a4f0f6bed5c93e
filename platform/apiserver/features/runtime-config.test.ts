import { deepEqual, throws } from "node:assert/strict";
import { test } from "node:test";
import { FeatureGates } from "./features.ts";
import { enabledResources, parseRuntimeConfig } from "./runtime-config.ts";

const served = (config: string, gates = "") =>
  enabledResources(parseRuntimeConfig(config), new FeatureGates(gates)).map(({ resource }) => resource);

test("what is off upstream is served where it is asked for, and its feature is on", () => {
  deepEqual(served(""), []);
  deepEqual(served("storagemigration.k8s.io/v1beta1=true"), ["storageversionmigrations"]);
  deepEqual(served("scheduling.k8s.io/v1alpha2=true"), []);
  deepEqual(served("scheduling.k8s.io/v1alpha2", "GenericWorkload=true"), ["podgroups", "workloads"]);
});

test("what is narrower holds over what is wider", () => {
  const gate = "GenericWorkload=true";
  deepEqual(served("api/alpha=true", gate), ["podgroups", "workloads"]);
  deepEqual(served("api/all=true,api/alpha=false", gate), ["storageversionmigrations"]);
  deepEqual(served("api/beta=true,storagemigration.k8s.io/v1beta1=false", gate), []);
});

test("what cannot be is told", () => {
  throws(() => parseRuntimeConfig("apps/v2=true"), { message: "unknown api groups or versions: apps/v2" });
  throws(() => parseRuntimeConfig("api/all=false"), { message: "api/all is always served" });
  throws(() => parseRuntimeConfig("api/beta=maybe"), { message: "invalid value api/beta=maybe" });
});
