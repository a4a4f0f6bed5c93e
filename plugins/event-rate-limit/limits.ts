/** Token buckets for events: pure but for what the buckets remember (upstream: plugin/pkg/admission/eventratelimit). */
import type { EventSource, ObjectReference } from "#sdk/api/generated/types.ts";

export type LimitType = "Server" | "Namespace" | "User" | "SourceAndObject";
/** As in upstream's Configuration: so many a second, so many at once, so many buckets remembered. */
export interface Limit {
  type: LimitType;
  qps: number;
  burst: number;
  cacheSize?: number;
}

/** An event of either group, as far as limits look at it. */
export interface SeenEvent {
  source?: EventSource;
  deprecatedSource?: EventSource;
  involvedObject?: ObjectReference;
  regarding?: ObjectReference;
}

export interface EventRequest {
  namespace: string;
  user: string;
  event: SeenEvent;
}

const BUCKETS_MAX = 4096;

function keyOf(type: LimitType, { namespace, user, event }: EventRequest): string {
  switch (type) {
    case "Server":
      return "";
    case "Namespace":
      return namespace;
    case "User":
      return user;
    case "SourceAndObject": {
      const source = event.source ?? event.deprecatedSource;
      const about = event.involvedObject ?? event.regarding;
      const parts = [
        source?.component,
        source?.host,
        about?.kind,
        about?.namespace,
        about?.name,
        about?.uid,
        about?.apiVersion,
      ];
      return parts.map((part) => part ?? "").join("");
    }
  }
}

interface Bucket {
  tokens: number;
  filled: number;
}

/** One limit with a bucket for each key; those that were not asked for longest are forgotten. */
export class Limiter {
  readonly #limit: Limit;
  readonly #buckets = new Map<string, Bucket>();
  constructor(limit: Limit) {
    this.#limit = limit;
  }

  /** `now`: milliseconds that never go back. Why not; undefined when there is room. */
  refusal(request: EventRequest, now: number): string | undefined {
    const { type, qps, burst, cacheSize = BUCKETS_MAX } = this.#limit;
    const key = keyOf(type, request);
    const { tokens, filled } = this.#buckets.get(key) ?? { tokens: burst, filled: now };
    const filledUp = Math.min(burst, tokens + ((now - filled) / 1000) * qps);
    const isFree = filledUp >= 1;
    this.#buckets.delete(key);
    this.#buckets.set(key, { tokens: isFree ? filledUp - 1 : filledUp, filled: now });
    const [oldest] = this.#buckets.keys();
    if (this.#buckets.size > cacheSize && oldest !== undefined) this.#buckets.delete(oldest);
    return isFree ? undefined : `limit reached on type ${type} for key ${key}`;
  }
}
