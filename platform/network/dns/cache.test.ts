import assert from "node:assert/strict";
import { test } from "node:test";
import packet, { type Answer } from "dns-packet";
import { cached } from "./cache.ts";

const question = (name: string, id = 1, type: "A" | "AAAA" = "A") =>
  packet.encode({ type: "query", id, flags: packet.RECURSION_DESIRED, questions: [{ type, name }] });

function world(answers: (name: string) => Answer[], authorities: Answer[] = [], code = 0) {
  let asked = 0;
  let now = 0;
  const forwarder = cached(
    {
      async ask(query) {
        asked++;
        const { id, questions } = packet.decode(query);
        const name = questions?.[0]?.name ?? "";
        return packet.encode({ type: "response", id, flags: code, questions, answers: answers(name), authorities });
      },
    },
    () => now,
  );
  return {
    asked: () => asked,
    pass: (seconds: number) => {
      now += seconds * 1000;
    },
    ask: async (name: string, id = 1, type: "A" | "AAAA" = "A") =>
      packet.decode(await forwarder.ask(question(name, id, type), false)),
  };
}
const record = (name: string, ttl: number): Answer => ({ type: "A", name, ttl, data: "192.0.2.1" });
const ttlOf = (answer: Answer | undefined) => (answer && "ttl" in answer ? answer.ttl : undefined);

test("an answer is kept as long as it says, with the asker's id and letters, and grows older", async () => {
  const dns = world((name) => [record(name, 20)]);
  await dns.ask("example.org", 7);
  dns.pass(5);
  const reply = await dns.ask("EXAMPLE.org", 8);
  assert.deepEqual([reply.id, reply.questions?.[0]?.name, ttlOf(reply.answers?.[0])], [8, "EXAMPLE.org", 15]);
  assert.equal(dns.asked(), 1);
  await dns.ask("example.org", 9, "AAAA");
  assert.equal(dns.asked(), 2);
  dns.pass(16);
  await dns.ask("example.org");
  assert.equal(dns.asked(), 3);
});

test("half a minute is the longest, and what does not say how long is not kept", async () => {
  const long = world((name) => [record(name, 86_400)]);
  await long.ask("example.org");
  long.pass(31);
  await long.ask("example.org");
  assert.equal(long.asked(), 2);
  const failing = world(() => [], [], 2);
  await failing.ask("example.org");
  await failing.ask("example.org");
  assert.equal(failing.asked(), 2);
});

test("a name that does not exist is remembered by its zone's SOA", async () => {
  const data = { mname: "a", rname: "b", serial: 1, refresh: 1, retry: 1, expire: 1, minimum: 10 };
  const dns = world(() => [], [{ type: "SOA", name: "org", ttl: 60, data }], 3);
  assert.equal((await dns.ask("no.org")).flags! & 0xf, 3);
  dns.pass(9);
  await dns.ask("no.org");
  assert.equal(dns.asked(), 1);
  dns.pass(2);
  await dns.ask("no.org");
  assert.equal(dns.asked(), 2);
});

test("many who ask the same at once are one question", async () => {
  const dns = world((name) => [record(name, 0)]);
  const replies = await Promise.all([1, 2, 3].map((id) => dns.ask("example.org", id)));
  assert.deepEqual(
    replies.map(({ id }) => id),
    [1, 2, 3],
  );
  assert.equal(dns.asked(), 1);
});
