/**
 * How a rollout is asked to go, in annotations of the Deployment (`decisions/073`): pure.
 *
 *     rollout.capstan.dev/steps: "10% bake=5m, 50% hold, 100%"     sizes of the new version, and what each waits for
 *     rollout.capstan.dev/metric: "http_errors{app=web} < 0.05"    an external metric that must hold (external.metrics.k8s.io)
 *     rollout.capstan.dev/deadline: 2m                             for a step to become healthy; spec.progressDeadlineSeconds without
 *     rollout.capstan.dev/on-failure: rollback | hold              hold without
 *     rollout.capstan.dev/promote: next | all                      once: ends a wait; taken away when it is done
 *     rollout.capstan.dev/rollback: previous | REVISION            once
 *     rollout.capstan.dev/weights: "3=80, 4=20"                    revisions side by side, while it is there
 *     rollout.capstan.dev/drain: 5s                                pods leave their services that long before they are deleted
 */
import type { Deployment } from "#sdk/api/generated/types.ts";
import { parseLabelSelector } from "#sdk/api/labels.ts";
import { desired } from "../replicas.ts";

export const PREFIX = "rollout.capstan.dev/";
export const STEPS = `${PREFIX}steps`;
const METRIC = `${PREFIX}metric`;
const DEADLINE = `${PREFIX}deadline`;
const ON_FAILURE = `${PREFIX}on-failure`;
export const PROMOTE = `${PREFIX}promote`;
export const ROLLBACK = `${PREFIX}rollback`;
export const WEIGHTS = `${PREFIX}weights`;
export const STATE = `${PREFIX}state`;

/** kubectl's default, and upstream's. */
const DEADLINE_MS = 600_000;
const STEPS_MAX = 100;

export interface Step {
  /** As written: "10%" or a number of pods. */
  weight: string;
  bakeMs: number;
  /** Waits for a person. */
  hold: boolean;
}

export interface Metric {
  name: string;
  /** A label selector as text. */
  selector: string;
  operator: "<" | "<=" | ">" | ">=";
  value: number;
}

export interface StepPlan {
  /** The last one is always everything. */
  steps: readonly Step[];
  metric: Metric | undefined;
  deadlineMs: number;
  rollsBack: boolean;
}

/** Annotations that cannot be understood: said in an event, and nothing moves. */
export class InvalidRollout extends Error {}

/** Undefined without the annotation. Throws InvalidRollout for what cannot be understood: a typing error must not roll everything out. */
export function planOf(d: Deployment): StepPlan | undefined {
  const annotations = d.metadata.annotations ?? {};
  const text = annotations[STEPS];
  if (text === undefined) return undefined;
  const steps = text.split(/[,;]/).map(parseStep);
  if (steps.length > STEPS_MAX) throw new InvalidRollout(`${STEPS}: at most ${STEPS_MAX} steps`);
  if (steps.at(-1)?.weight !== "100%") steps.push({ weight: "100%", bakeMs: 0, hold: false });
  const onFailure = annotations[ON_FAILURE] ?? "hold";
  if (onFailure !== "hold" && onFailure !== "rollback")
    throw new InvalidRollout(`${ON_FAILURE}: must be hold or rollback`);
  const seconds = d.spec?.progressDeadlineSeconds;
  const deadline = annotations[DEADLINE];
  const metric = annotations[METRIC];
  return {
    steps,
    metric: metric === undefined ? undefined : parseMetric(metric),
    deadlineMs: deadline === undefined ? (seconds ? seconds * 1000 : DEADLINE_MS) : durationMs(deadline, DEADLINE),
    rollsBack: onFailure === "rollback",
  };
}

function parseStep(text: string): Step {
  const [weight = "", ...words] = text.trim().split(/\s+/);
  if (!/^(\d{1,2}%|100%|\d{1,9})$/.test(weight))
    throw new InvalidRollout(`${STEPS}: ${JSON.stringify(weight)} is no size`);
  const step = { weight, bakeMs: 0, hold: false };
  for (const word of words) {
    if (word === "hold") step.hold = true;
    else if (word.startsWith("bake=")) step.bakeMs = durationMs(word.slice(5), STEPS);
    else throw new InvalidRollout(`${STEPS}: ${JSON.stringify(word)} is neither hold nor bake=DURATION`);
  }
  return step;
}

function parseMetric(text: string): Metric {
  const match = /^\s*([\w:.-]+)\s*(?:\{([^}]*)\})?\s*(<=|>=|<|>)\s*(-?\d+(?:\.\d+)?)\s*$/.exec(text);
  if (!match) throw new InvalidRollout(`${METRIC}: must be NAME{SELECTOR} < NUMBER`);
  const [, name = "", selector = "", operator, value] = match;
  try {
    parseLabelSelector(selector);
  } catch (error) {
    throw new InvalidRollout(`${METRIC}: ${error instanceof Error ? error.message : String(error)}`);
  }
  return { name, selector, operator: operator as Metric["operator"], value: Number(value) };
}

const UNITS: Readonly<Record<string, number>> = { ms: 1, s: 1000, m: 60_000, h: 3_600_000, d: 86_400_000 };

/** "90s", "5m", "1h30m". `where` names the annotation in the error. */
export function durationMs(text: string, where: string): number {
  const parts = [...text.matchAll(/(\d+)(ms|s|m|h|d)/g)];
  if (parts.length === 0 || parts.map((p) => p[0]).join("") !== text)
    throw new InvalidRollout(`${where}: ${JSON.stringify(text)} is no duration`);
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * (UNITS[unit ?? ""] ?? 0), 0);
}

export function holds({ operator, value }: Metric, measured: number): boolean {
  if (operator === "<") return measured < value;
  if (operator === "<=") return measured <= value;
  return operator === ">" ? measured > value : measured >= value;
}

/** How many pods of the new version a step has: at least one, at most all. */
export function sizeOf(step: Step, d: Deployment): number {
  const all = desired(d);
  const asked = step.weight.endsWith("%")
    ? Math.ceil((Number(step.weight.slice(0, -1)) * all) / 100)
    : Number(step.weight);
  return Math.min(all, Math.max(all === 0 ? 0 : 1, asked));
}

/** Revision → share, of the annotation; undefined without. Throws InvalidRollout for what cannot be understood. */
export function weightsOf(d: Deployment): Map<string, number> | undefined {
  const text = d.metadata.annotations?.[WEIGHTS];
  if (text === undefined) return undefined;
  const weights = new Map<string, number>();
  for (const part of text.split(",")) {
    const [, revision, weight] = /^\s*(\d+)\s*=\s*(\d{1,6})\s*$/.exec(part) ?? [];
    if (revision === undefined)
      throw new InvalidRollout(`${WEIGHTS}: ${JSON.stringify(part.trim())} is not REVISION=WEIGHT`);
    weights.set(revision, Number(weight));
  }
  if (![...weights.values()].some((weight) => weight > 0))
    throw new InvalidRollout(`${WEIGHTS}: one must be more than 0`);
  return weights;
}

/** Shares of a whole by largest remainders; who is named first wins a tie. */
export function shares(weights: ReadonlyMap<string, number>, whole: number): Map<string, number> {
  const total = [...weights.values()].reduce((a, b) => a + b, 0);
  const exact = [...weights].map(([name, weight]) => ({ name, share: (weight * whole) / total }));
  const result = new Map(exact.map(({ name, share }) => [name, Math.floor(share)]));
  const left = whole - [...result.values()].reduce((a, b) => a + b, 0);
  const byRemainder = exact.toSorted((a, b) => (b.share % 1) - (a.share % 1));
  for (const { name } of byRemainder.slice(0, left)) result.set(name, (result.get(name) ?? 0) + 1);
  return result;
}
