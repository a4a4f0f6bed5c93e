import assert from "node:assert/strict";
import { test } from "node:test";
import { Pace } from "./pace.ts";

const served = (order: string[], name: string, done?: () => void) => ({
  servedAt: name === "busy" ? performance.now() : Number.NEGATIVE_INFINITY,
  serve() {
    order.push(name);
    done?.();
  },
});

test("a watcher that was just served waits for the others of its turn; a rested one does not, but lets what is under way end", async () => {
  const order: string[] = [];
  const pace = new Pace(200);
  await new Promise<void>((resolve) => {
    pace.schedule(served(order, "busy"));
    pace.schedule(served(order, "busy", resolve));
    pace.schedule(served(order, "rested"));
    queueMicrotask(() => order.push("under way"));
  });
  assert.deepEqual(order, ["under way", "rested", "busy", "busy"]);
});
