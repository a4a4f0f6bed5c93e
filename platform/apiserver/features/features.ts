/** Upstream's feature gates: their defaults, what --feature-gates makes of them, and what /metrics tells. */
import { readFileSync } from "node:fs";

/** Name, stage ("" for GA, "ALPHA", "BETA", "DEPRECATED"), 1 when on by default, 1 when that cannot be changed. */
export type FeatureGate = [name: string, stage: string, enabled: 0 | 1, locked: 0 | 1];

const ALL: Readonly<Record<string, string>> = { AllAlpha: "ALPHA", AllBeta: "BETA" };

let defaults: readonly FeatureGate[] | undefined;
function gates(): readonly FeatureGate[] {
  const file = new URL("./features.generated.json", import.meta.url);
  defaults ??= JSON.parse(readFileSync(file, "utf8")) as FeatureGate[];
  return defaults;
}

export class FeatureGates {
  readonly #enabled: ReadonlyMap<string, { stage: string; enabled: boolean }>;

  /** `text`: "A=true,B=false", as upstream's flag. Throws Error with upstream's words. */
  constructor(text = "") {
    const enabled = new Map(gates().map(([name, stage, on]) => [name, { stage, enabled: on === 1 }]));
    const locked = new Set(gates().flatMap(([name, , , lock]) => (lock === 1 ? [name] : [])));
    const wanted = parse(text);
    for (const [name, value] of wanted) {
      const stage = ALL[name];
      if (stage === undefined) continue;
      for (const [other, gate] of enabled)
        if (gate.stage === stage && !locked.has(other)) enabled.set(other, { ...gate, enabled: value });
    }
    for (const [name, value] of wanted) {
      if (ALL[name] !== undefined) continue;
      const gate = enabled.get(name);
      if (!gate) throw new Error(`unrecognized feature gate: ${name}`);
      if (locked.has(name) && gate.enabled !== value)
        throw new Error(`cannot set feature gate ${name} to ${value}, feature is locked to ${gate.enabled}`);
      enabled.set(name, { ...gate, enabled: value });
    }
    this.#enabled = enabled;
  }

  enabled(name: string): boolean {
    return this.#enabled.get(name)?.enabled ?? false;
  }

  /** Samples of kubernetes_feature_enabled. */
  samples(): Map<string, number> {
    const samples = [...this.#enabled].map(([name, { stage, enabled }]): [string, number] => [
      `kubernetes_feature_enabled{name="${name}",stage="${stage}"}`,
      enabled ? 1 : 0,
    ]);
    return new Map(samples);
  }
}

function parse(text: string): [name: string, value: boolean][] {
  const parts = text.split(",").filter((part) => part.trim() !== "");
  return parts.map((part) => {
    const [name = "", value, more] = part.split("=").map((word) => word.trim());
    if (value === undefined || more !== undefined)
      throw new Error(`missing bool value for feature gate ${part.trim()}`);
    if (!/^(true|false)$/i.test(value)) throw new Error(`invalid value of ${name}=${value}, it must be true or false`);
    return [name, value.toLowerCase() === "true"];
  });
}
