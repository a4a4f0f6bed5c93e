/** Answers remembered for a time, so many at most; those who ask for the same at the same time share one question. */
export class Answers<T> {
  readonly #max: number;
  readonly #known = new Map<string, { answer: T; until: number }>();
  readonly #asking = new Map<string, Promise<T>>();

  constructor(max = 4_096) {
    this.#max = max;
  }

  /** `ttlMs` says how long an answer holds; 0 is not at all. A question that fails is not remembered. `now` in milliseconds. */
  async get(name: string, now: number, ask: () => Promise<T>, ttlMs: (answer: T) => number): Promise<T> {
    const known = this.#known.get(name);
    if (known && known.until > now) return known.answer;
    const asked = this.#asking.get(name);
    if (asked) return asked;
    const asking = ask().finally(() => this.#asking.delete(name));
    this.#asking.set(name, asking);
    const answer = await asking;
    const ttl = ttlMs(answer);
    this.#known.delete(name);
    if (ttl > 0) {
      if (this.#known.size >= this.#max) for (const oldest of this.#known.keys()) if (this.#known.delete(oldest)) break;
      this.#known.set(name, { answer, until: now + ttl });
    }
    return answer;
  }
}
