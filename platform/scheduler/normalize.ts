/** From plugins' scales to 0–100, over the candidates of one pod. */
import type { ScorePlugin } from "./framework.ts";

export const SCORE_MAX = 100;

/** As upstream's DefaultNormalizeScore, and the NormalizeScore of PodTopologySpread (mirrored) and InterPodAffinity (range). In place. */
export function normalized(how: ScorePlugin["normalization"], scores: Float64Array): Float64Array {
  if (how === "none" || how === "hook") return scores;
  let least = Number.POSITIVE_INFINITY;
  let most = how === "range" ? Number.NEGATIVE_INFINITY : 0;
  for (const score of scores) {
    // Mirrored: below 0 stands for nodes that are not to be compared.
    if (how === "mirrored" && score < 0) continue;
    if (score < least) least = score;
    if (score > most) most = score;
  }
  const scale = scaleOf(how, least, most);
  for (let i = 0; i < scores.length; i++) scores[i] = scale(scores[i]!);
  return scores;
}

function scaleOf(
  how: Exclude<ScorePlugin["normalization"], "none" | "hook">,
  least: number,
  most: number,
): (score: number) => number {
  switch (how) {
    case "maximum":
      return (score) => (most === 0 ? score : Math.trunc((SCORE_MAX * score) / most));
    case "reversed":
      return (score) => SCORE_MAX - (most === 0 ? 0 : Math.trunc((SCORE_MAX * score) / most));
    case "mirrored":
      return (score) => {
        if (score < 0) return 0;
        return most === 0 ? SCORE_MAX : Math.trunc((SCORE_MAX * (most + least - score)) / most);
      };
    case "range":
      return (score) => (most > least ? Math.trunc((SCORE_MAX * (score - least)) / (most - least)) : 0);
  }
}
