/**
 * What a component of scope "object" answered before, by all that it was shown: pods of one Deployment look alike to most policies, and are made
 * by the hundred. Refusals are not kept. The answers kept last go last.
 */
const KEPT_MAX = 256;
/** Of what it was shown and what it answered together. */
const CHARACTERS_MAX = 16 * 1024;

export class KeptAnswers {
  readonly #kept = new Map<string, unknown>();

  get(shown: string): unknown {
    const answer = this.#kept.get(shown);
    if (answer === undefined) return undefined;
    this.#kept.delete(shown);
    this.#kept.set(shown, answer);
    return answer;
  }

  /** `answer`: as it crossed; nobody changes it. */
  keep(shown: string, answer: unknown): void {
    const characters = typeof answer === "string" ? answer.length : JSON.stringify(answer).length;
    if (shown.length + characters > CHARACTERS_MAX) return;
    if (this.#kept.size >= KEPT_MAX) {
      const [oldest] = this.#kept.keys();
      if (oldest !== undefined) this.#kept.delete(oldest);
    }
    this.#kept.set(shown, answer);
  }
}
