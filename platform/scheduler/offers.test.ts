import { deepEqual } from "node:assert/strict";
import test from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { createOffers, type OfferAnswer, type OfferedRoom } from "./offers.ts";

const free = { cpuMilli: 1000, memory: 1, ephemeralStorage: 0, others: [] };
const room = (name: string) => ({ node: { metadata: { name } } as Node, free });
const pod = (name: string): Pod => ({ metadata: { name, namespace: "default" } });

function setUp(
  answer: (rooms: readonly OfferedRoom[]) => OfferAnswer,
  place = async () => undefined as string | undefined,
) {
  const seen: string[][] = [];
  const placed: string[] = [];
  let time = 0;
  const waiting = [pod("a"), pod("b")];
  const offers = createOffers({
    frameworks: {
      list: () => [
        {
          name: "mine",
          async offer(_, rooms) {
            seen.push(rooms.map(({ node }) => node));
            return answer(rooms);
          },
        },
      ],
      onChange: () => undefined,
    },
    waiting: (name) => (name === "mine" ? waiting : []),
    rooms: () => [room("n1"), room("n2")],
    async place(taken, node) {
      const why = await place();
      if (why === undefined) {
        placed.push(`${taken.metadata.name} on ${node}`);
        waiting.splice(waiting.indexOf(taken), 1);
      }
      return why;
    },
    log: silentLog,
    now: () => time,
  });
  return {
    offers,
    seen,
    placed,
    tick(ms: number) {
      time += ms;
    },
  };
}
const taking =
  (names: string[], declineMs = 0) =>
  (rooms: readonly OfferedRoom[]) => ({
    accepted: names.map((name) => ({ offer: rooms[0]?.id ?? "", namespace: "default", pod: name })),
    declineMs,
  });

test("a framework puts its pods where it was offered room, several on one node", async () => {
  const { offers, placed } = setUp(taking(["a", "b"]));
  await offers.round();
  deepEqual(placed, ["a on n1", "b on n1"]);
});

test("what the filters refuse, or nobody offered, is not placed", async () => {
  const refused = setUp(taking(["a"]), async () => "Insufficient cpu");
  await refused.offers.round();
  deepEqual(refused.placed, []);
  const invented = setUp(() => ({ accepted: [{ offer: "x", namespace: "default", pod: "a" }], declineMs: 0 }));
  await invented.offers.round();
  deepEqual(invented.placed, []);
});

test("declined room does not come again before its time", async () => {
  const { offers, seen, tick } = setUp(taking(["a"], 1000));
  await offers.round();
  await offers.round();
  tick(1000);
  await offers.round();
  deepEqual(seen, [["n1", "n2"], ["n1"], ["n1", "n2"]]);
});

test("nobody is offered room who waits for none", async () => {
  const { offers, seen } = setUp(taking(["a", "b"]));
  await offers.round();
  await offers.round();
  deepEqual(seen.length, 1);
});
