import assert from "node:assert/strict";
import { test } from "node:test";
import { FeatureGates } from "./features.ts";

const sample = (gates: FeatureGates, name: string, stage: string) =>
  gates.samples().get(`kubernetes_feature_enabled{name="${name}",stage="${stage}"}`);

test("gates have their defaults, and a flag changes them in the metrics too", () => {
  assert.equal(sample(new FeatureGates(), "ConstrainedImpersonation", "BETA"), 1);
  const changed = new FeatureGates("ConstrainedImpersonation=false, APIServingWithRoutine=True");
  assert.equal(changed.enabled("ConstrainedImpersonation"), false);
  assert.equal(sample(changed, "ConstrainedImpersonation", "BETA"), 0);
  assert.equal(sample(changed, "APIServingWithRoutine", "ALPHA"), 1);
});

test("all of a stage change together, but for those that are named", () => {
  const gates = new FeatureGates("ConstrainedImpersonation=true,AllBeta=false,AllAlpha=true");
  assert.equal(gates.enabled("ConstrainedImpersonation"), true);
  assert.equal(gates.enabled("APIServerIdentity"), false);
  assert.equal(gates.enabled("APIServingWithRoutine"), true);
});

test("unknown gates, locked ones and values that are none are refused in upstream's words", () => {
  assert.throws(() => new FeatureGates("Nope=true"), /^Error: unrecognized feature gate: Nope$/);
  assert.throws(
    () => new FeatureGates("ServiceAccountTokenJTI=false"),
    /cannot set feature gate ServiceAccountTokenJTI to false, feature is locked to true/,
  );
  assert.throws(() => new FeatureGates("ConstrainedImpersonation"), /missing bool value/);
  assert.throws(() => new FeatureGates("ConstrainedImpersonation=maybe"), /invalid value/);
});
