import assert from "node:assert/strict";
import { test } from "node:test";
import { Answers } from "./answers.ts";

test("an answer holds for its time, and those who ask at once share one question", async () => {
  const answers = new Answers<number>();
  let asked = 0;
  const ask = async () => ++asked;
  const ttl = () => 10;
  assert.deepEqual(await Promise.all([answers.get("a", 0, ask, ttl), answers.get("a", 0, ask, ttl)]), [1, 1]);
  assert.equal(await answers.get("a", 9, ask, ttl), 1);
  assert.equal(await answers.get("a", 10, ask, ttl), 2);
  assert.equal(await answers.get("b", 0, ask, () => 0), 3);
  assert.equal(await answers.get("b", 0, ask, () => 0), 4);
});

test("a failure is not remembered, and so many answers are held and no more", async () => {
  const answers = new Answers<string>(2);
  await assert.rejects(
    answers.get(
      "a",
      0,
      () => Promise.reject(new Error("no")),
      () => 10,
    ),
    /no/,
  );
  for (const name of ["a", "b", "c"])
    assert.equal(
      await answers.get(
        name,
        0,
        async () => name,
        () => 10,
      ),
      name,
    );
  assert.equal(
    await answers.get(
      "c",
      0,
      async () => "again",
      () => 10,
    ),
    "c",
  );
  assert.equal(
    await answers.get(
      "a",
      0,
      async () => "again",
      () => 10,
    ),
    "again",
  );
});
