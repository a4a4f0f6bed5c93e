import { equal, throws } from "node:assert/strict";
import test from "node:test";
import { lastBefore, parseSchedule } from "./cron.ts";

const at = (text: string) => Date.parse(text);
const next = (schedule: string, after: string, zone?: string) => {
  const ms = parseSchedule(schedule, zone).next(at(after));
  return ms === undefined ? undefined : new Date(ms).toISOString().slice(0, 16);
};

test("fields, names, steps and descriptors", () => {
  equal(next("* * * * *", "2026-01-01T00:00:30Z"), "2026-01-01T00:01");
  equal(next("*/1 * * * ?", "2026-01-01T00:01:00Z"), "2026-01-01T00:02");
  equal(next("5/20 * * * *", "2026-01-01T00:30:00Z"), "2026-01-01T00:45");
  equal(next("0 0 31 * *", "2026-02-01T00:00:00Z"), "2026-03-31T00:00");
  equal(next("30 9 * JAN-mar Mon", "2026-01-01T00:00:00Z"), "2026-01-05T09:30");
  equal(next("@weekly", "2026-01-01T00:00:00Z"), "2026-01-04T00:00");
  equal(next("@every 1h30m", "2026-01-01T00:00:00Z"), "2026-01-01T01:30");
  equal(next("0 0 29 2 *", "2026-01-01T00:00:00Z"), "2028-02-29T00:00");
  equal(next("0 0 31 2 *", "2026-01-01T00:00:00Z"), undefined);
});

test("a day of the month or a day of the week is enough where both are given", () => {
  equal(next("0 0 13 * 5", "2026-01-01T00:00:00Z"), "2026-01-02T00:00");
  equal(next("0 0 13 * *", "2026-01-01T00:00:00Z"), "2026-01-13T00:00");
});

test("time zones, over changes of the clock", () => {
  equal(next("0 0 * * *", "2026-03-28T12:00:00Z", "Europe/Berlin"), "2026-03-28T23:00");
  equal(next("0 0 * * *", "2026-03-29T12:00:00Z", "Europe/Berlin"), "2026-03-29T22:00");
  equal(next("30 5 * * *", "2026-01-01T00:00:00Z", "Asia/Kolkata"), "2026-01-02T00:00");
  equal(next("TZ=Asia/Tokyo 0 9 * * *", "2026-01-01T00:00:00Z"), "2026-01-02T00:00");
  throws(() => parseSchedule("* * * * *", "Nowhere/Land"), RangeError);
});

test("what is no schedule is refused", () => {
  for (const text of [
    "* * * *",
    "60 * * * *",
    "* * 0 * *",
    "5-1 * * * *",
    "*/0 * * * *",
    "@often",
    "x * * * *",
    "* * * * 7",
  ]) {
    throws(() => parseSchedule(text), Error, text);
  }
});

test("the last time missed is found without counting all", () => {
  const minutely = parseSchedule("* * * * *");
  const now = at("2026-06-01T00:00:30Z");
  equal(lastBefore(minutely, at("2020-01-01T00:00:00Z"), now), at("2026-06-01T00:00:00Z"));
  equal(lastBefore(minutely, at("2026-06-01T00:00:00Z"), now), undefined);
  equal(lastBefore(parseSchedule("@yearly"), at("2020-06-01T00:00:00Z"), now), at("2026-01-01T00:00:00Z"));
});
