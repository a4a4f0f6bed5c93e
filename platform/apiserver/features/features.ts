/** Upstream's feature gates with their defaults: what /metrics tells of them. */
import { readFileSync } from "node:fs";

/** Name, stage ("" for GA, "ALPHA", "BETA", "DEPRECATED"), 1 when on by default. */
export type FeatureGate = [name: string, stage: string, enabled: 0 | 1];

let samples: Map<string, number> | undefined;

/** Samples of kubernetes_feature_enabled. Read on first use. */
export function featureSamples(): ReadonlyMap<string, number> {
  if (!samples) {
    const text = readFileSync(new URL("./features.generated.json", import.meta.url), "utf8");
    samples = new Map();
    for (const [name, stage, enabled] of JSON.parse(text) as FeatureGate[])
      samples.set(`kubernetes_feature_enabled{name="${name}",stage="${stage}"}`, enabled);
  }
  return samples;
}
