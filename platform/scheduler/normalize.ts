/** From plugins' scales to 0–100, over the candidates of one pod. */
import type { ScorePlugin } from "./framework.ts";

export const SCORE_MAX = 100;

/** As upstream's DefaultNormalizeScore, and the NormalizeScore of PodTopologySpread (mirrored) and InterPodAffinity (range). */
export function normalized(how: ScorePlugin["normalization"], scores: Float64Array): Float64Array {
  let least = Number.POSITIVE_INFINITY;
  let most = how === "range" ? Number.NEGATIVE_INFINITY : 0;
  for (const score of scores) {
    // Mirrored: below 0 stands for nodes that are not to be compared.
    if (how === "mirrored" && score < 0) continue;
    if (score < least) least = score;
    if (score > most) most = score;
  }
  switch (how) {
    case "none":
    case "hook":
      return scores;
    case "maximum":
      return most === 0 ? scores : scores.map((score) => Math.trunc((SCORE_MAX * score) / most));
    case "reversed":
      return scores.map((score) => SCORE_MAX - (most === 0 ? 0 : Math.trunc((SCORE_MAX * score) / most)));
    case "mirrored":
      return scores.map((score) => {
        if (score < 0) return 0;
        return most === 0 ? SCORE_MAX : Math.trunc((SCORE_MAX * (most + least - score)) / most);
      });
    case "range":
      return scores.map((score) => (most > least ? Math.trunc((SCORE_MAX * (score - least)) / (most - least)) : 0));
  }
}
