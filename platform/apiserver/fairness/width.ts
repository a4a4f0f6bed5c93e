/** How many seats a list holds: by what it's going to read, told from a few of the objects and how many there are. */
import type { Scope, Store } from "#platform/store/port.ts";
import type { FlowRequest } from "./schemas.ts";

/** As upstream: what a seat stands for, and what a list that is read from the cache counts for at most. */
const SEAT_BYTES = 100_000;
const LIST_BYTES_MAX = 1_000_000;
const SAMPLE = 8;
/** A cache that is behind has no list wait twice. */
const PATIENCE_MS = 50;
const KNOWN_MS = 1000;
const KNOWN_MAX = 2000;

interface Known {
  until: number;
  count: number;
  /** Of one object, on average. */
  bytes: number;
}

export class Widths {
  readonly #store: Pick<Store, "list">;
  readonly #clock: () => number;
  readonly #known = new Map<string, Known>();

  /** `clock`: milliseconds. */
  constructor(store: Pick<Store, "list">, clock: () => number = () => performance.now()) {
    this.#store = store;
    this.#clock = clock;
  }

  async of(request: FlowRequest): Promise<number> {
    if (request.name) return 1;
    const { count, bytes } = await this.#learn(request);
    const read = Math.min(count, request.limit || count) * bytes;
    return Math.max(1, Math.ceil(Math.min(read, LIST_BYTES_MAX) / SEAT_BYTES));
  }

  async #learn({ tenants: tenant, user, group, resource, namespace }: FlowRequest): Promise<Known> {
    const scope: Scope = {
      tenant: tenant ?? user.tenant,
      resource: group ? `${resource}.${group}` : resource,
      ...(namespace ? { namespace } : {}),
    };
    const key = `${scope.tenant} ${scope.resource} ${namespace}`;
    const now = this.#clock();
    const known = this.#known.get(key);
    if (known && known.until > now) return known;
    const found = { until: now + KNOWN_MS, ...(await this.#sample(scope)) };
    if (this.#known.size >= KNOWN_MAX) this.#known.clear();
    this.#known.set(key, found);
    return found;
  }

  async #sample(scope: Scope): Promise<Pick<Known, "count" | "bytes">> {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(() => late.reject(new Error("late")), PATIENCE_MS);
    try {
      const freshness = { type: "atLeast", revision: 0 } as const;
      const asked = this.#store.list({ scope, freshness, limit: SAMPLE });
      const { objects, remaining = 0 } = await Promise.race([asked, late.promise]);
      const sampled = objects.reduce((sum, { document }) => sum + document.length, 0);
      return { count: objects.length + remaining, bytes: sampled / Math.max(1, objects.length) };
    } catch {
      // The list itself is going to tell.
      return { count: 0, bytes: 0 };
    } finally {
      clearTimeout(timer);
    }
  }
}
