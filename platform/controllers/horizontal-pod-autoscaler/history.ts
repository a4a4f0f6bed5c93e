/** What an autoscaler remembers of its own decisions; kept in memory, as upstream does, by the process that leads. */
import type { HPAScalingRules } from "#sdk/api/generated/types.ts";

/** Times are milliseconds of the wall clock. */
export interface History {
  /** What the metrics asked for, before limits. */
  recommendations: { replicas: number; at: number }[];
  /** How many replicas were added or taken, and when. */
  ups: { change: number; at: number }[];
  downs: { change: number; at: number }[];
}

/** The size found first counts as a recommendation: a controller that has just started does not shrink at once. */
export const newHistory = (replicas: number, now: number): History => ({
  recommendations: [{ replicas, at: now }],
  ups: [],
  downs: [],
});

/** The newest takes the place of what is older than `windowMs`. */
export function remember(history: History, replicas: number, windowMs: number, now: number): void {
  history.recommendations = history.recommendations.filter((r) => r.at >= now - windowMs);
  history.recommendations.push({ replicas, at: now });
}

/** Only rules limit by what was done before: without them nothing is kept. */
export function rememberScale(
  history: History,
  rules: { scaleUp?: HPAScalingRules; scaleDown?: HPAScalingRules } | undefined,
  from: number,
  to: number,
  now: number,
): void {
  if (!rules) return;
  const up = to > from;
  const periods = ((up ? rules.scaleUp : rules.scaleDown)?.policies ?? []).map((p) => p.periodSeconds);
  const since = now - Math.max(0, ...periods) * 1000;
  const events = (up ? history.ups : history.downs).filter((e) => e.at >= since);
  events.push({ change: Math.abs(to - from), at: now });
  if (up) history.ups = events;
  else history.downs = events;
}

export const changedWithin = (events: readonly { change: number; at: number }[], seconds: number, now: number) =>
  events.reduce((sum, event) => (event.at > now - seconds * 1000 ? sum + event.change : sum), 0);
