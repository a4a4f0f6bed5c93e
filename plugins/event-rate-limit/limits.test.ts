import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { type EventRequest, type Limit, Limiter } from "./limits.ts";

const event = (namespace: string, user = "u", name = "p"): EventRequest => ({
  namespace,
  user,
  event: { involvedObject: { kind: "Pod", namespace, name }, source: { component: "c" } },
});
const limiter = (limit: Partial<Limit>) => new Limiter({ type: "Namespace", qps: 1, burst: 2, ...limit });

test("a bucket has room for a burst, and fills again by the second", () => {
  const one = limiter({});
  const asked = [0, 0, 0, 500, 1000, 1000].map((now) => one.refusal(event("a"), now) === undefined);
  deepEqual(asked, [true, true, false, false, true, false]);
  equal(one.refusal(event("a"), 1000), "limit reached on type Namespace for key a");
});

test("each key has a bucket of its own", () => {
  const asked = (limit: Limit["type"], requests: EventRequest[]) => {
    const one = limiter({ type: limit, burst: 1 });
    return requests.map((request) => one.refusal(request, 0) === undefined);
  };
  deepEqual(asked("Namespace", [event("a"), event("b"), event("a")]), [true, true, false]);
  deepEqual(asked("Server", [event("a"), event("b")]), [true, false]);
  deepEqual(asked("User", [event("a", "x"), event("a", "y"), event("b", "x")]), [true, true, false]);
  deepEqual(asked("SourceAndObject", [event("a", "x", "p"), event("a", "x", "q"), event("a", "y", "p")]), [
    true,
    true,
    false,
  ]);
});

test("no more buckets are remembered than there is room for", () => {
  const one = limiter({ burst: 1, cacheSize: 2 });
  for (const namespace of ["a", "b", "c"]) one.refusal(event(namespace), 0);
  equal(one.refusal(event("a"), 0), undefined, "the oldest was forgotten");
  equal(typeof one.refusal(event("c"), 0), "string");
});
