import assert from "node:assert/strict";
import { test } from "node:test";
import { StatusError } from "#sdk/api/status.ts";
import { requestMs } from "./deadline.ts";

const asked = (timeout: string) => requestMs(new URLSearchParams({ timeout }));

test("a request has as long as it asks for, and a minute at most", () => {
  assert.equal(requestMs(new URLSearchParams()), 60_000);
  assert.deepEqual(["1.5s", "250ms", "0s", "-1s", "3m", ""].map(asked), [1_500, 250, 60_000, 60_000, 60_000, 60_000]);
});

test("what is no duration is refused in Go's words", () => {
  const said = {
    invalid: 'time: invalid duration "invalid"',
    "5": 'time: missing unit in duration "5"',
    "5weeks": 'time: unknown unit "weeks" in duration "5weeks"',
  };
  for (const [text, reason] of Object.entries(said))
    assert.throws(
      () => asked(text),
      (error) =>
        error instanceof StatusError &&
        error.code === 400 &&
        error.message === `invalid timeout specified in the request URL - ${reason}`,
    );
});
