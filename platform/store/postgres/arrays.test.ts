import assert from "node:assert/strict";
import { test } from "node:test";
import { withTestDatabase } from "#db/testing.ts";
import { bigints, booleans, smallints, texts } from "./arrays.ts";
import { Session } from "./session.ts";

test("PostgreSQL reads binary arrays as what was put in", async () => {
  const db = await withTestDatabase({ migrated: false });
  const session = await Session.open(db.url, "arrays");
  try {
    const numbers = [0, 1, -1, 4_294_967_296, -4_294_967_297, Number.MAX_SAFE_INTEGER, Number.MIN_SAFE_INTEGER, null];
    const words = ["", "a", '{"a":"\\"b\\\\"}', "NULL", "Ü😀\n", "x".repeat(70_000)];
    const [row] = await session.query<{ a: string[]; b: number[]; c: string[]; d: boolean[] }>(
      { text: "SELECT $1::bigint[] AS a, $2::smallint[] AS b, $3::text[] AS c, $4::boolean[] AS d" },
      [bigints(numbers), smallints([0, 1, 2, -3]), texts(words), booleans([true, false])],
    );
    assert.deepEqual(
      row?.a.map((text) => (text === null ? null : Number(text))),
      numbers,
    );
    assert.deepEqual(row?.b, [0, 1, 2, -3]);
    assert.deepEqual(row?.c, words);
    assert.deepEqual(row?.d, [true, false]);
    const [none] = await session.query<{ a: string[]; c: string[] }>(
      { text: "SELECT $1::bigint[] AS a, $2::text[] AS c" },
      [bigints([]), texts([])],
    );
    assert.deepEqual(none, { a: [], c: [] });
  } finally {
    await session.close();
    await db.remove();
  }
});
