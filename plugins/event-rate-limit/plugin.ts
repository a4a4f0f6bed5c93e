import { monotonic } from "#sdk/plugin/clock.ts";
import { readConfig } from "#sdk/plugin/config.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { failure } from "#sdk/plugin/failure.ts";
import { type Limit, Limiter, type SeenEvent } from "./limits.ts";

let limiters: Limiter[] | undefined;

export const admission = defineAdmission({
  validate(review) {
    if (review.dryRun) return [];
    limiters ??= (readConfig<{ limits?: Limit[] }>().limits ?? []).map((limit) => new Limiter(limit));
    const request = {
      namespace: review.namespace,
      user: (JSON.parse(review.user) as { name: string }).name,
      event: JSON.parse(review.object) as SeenEvent,
    };
    const now = monotonic();
    // Every bucket is asked: each counts what came.
    const refused = limiters.flatMap((limiter) => limiter.refusal(request, now) ?? []);
    const [only, ...more] = refused;
    if (only === undefined) return [];
    const message = more.length > 0 ? `[${refused.join(", ")}]` : only;
    throw failure("TooManyRequests", message, 429, JSON.stringify({ retryAfterSeconds: 1 }));
  },
});
