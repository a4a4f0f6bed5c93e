/**
 * Cron schedules as batch/v1 has them (robfig/cron's standard parser): five fields, names of months and days, "?", and
 * the descriptors @yearly … @hourly and "@every DURATION". Times are the wall clock's of a time zone.
 */
export interface Schedule {
  /** The first time after `ms` (both milliseconds since the epoch), or undefined when there is none in five years. */
  next(ms: number): number | undefined;
}

interface Field {
  min: number;
  max: number;
  names: readonly string[];
}

const MONTHS = ["jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"];
const DAYS = ["sun", "mon", "tue", "wed", "thu", "fri", "sat"];
const FIELDS: readonly Field[] = [
  { min: 0, max: 59, names: [] },
  { min: 0, max: 23, names: [] },
  { min: 1, max: 31, names: [] },
  { min: 1, max: 12, names: MONTHS },
  { min: 0, max: 6, names: DAYS },
];
const DESCRIPTORS: Record<string, string> = {
  "@yearly": "0 0 1 1 *",
  "@annually": "0 0 1 1 *",
  "@monthly": "0 0 1 * *",
  "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *",
  "@midnight": "0 0 * * *",
  "@hourly": "0 * * * *",
};
const UNIT_MS: Record<string, number> = { h: 3_600_000, m: 60_000, s: 1_000, ms: 1 };
const [MINUTE_MS, HOUR_MS] = [60_000, 3_600_000];
const SEARCH_MS = 5 * 366 * 24 * HOUR_MS;

interface FieldSet {
  values: ReadonlySet<number>;
  /** "*" or "?": of the two fields for days, the other one decides. */
  any: boolean;
}

/** Throws Error for what is no schedule, and RangeError for a time zone that nobody knows. */
export function parseSchedule(text: string, timeZone = "UTC"): Schedule {
  const prefixed = /^(?:CRON_)?TZ=(\S+)\s+(.*)$/.exec(text.trim());
  const zone = prefixed?.[1] ?? timeZone;
  const spec = prefixed?.[2] ?? text.trim();
  const wallClock = wallClockOf(zone);
  if (spec.startsWith("@every ")) {
    const everyMs = Math.max(1_000, Math.floor(durationMs(spec.slice(7)) / 1_000) * 1_000);
    return { next: (ms) => Math.floor(ms / 1_000) * 1_000 + everyMs };
  }
  const parts = (DESCRIPTORS[spec] ?? spec).split(/\s+/);
  if (spec.startsWith("@") && !DESCRIPTORS[spec]) throw new Error(`unrecognized descriptor: ${spec}`);
  if (parts.length !== FIELDS.length) {
    throw new Error(`expected exactly 5 fields, found ${parts.length}: [${parts.join(" ")}]`);
  }
  const [minutes, hours, days, months, weekdays] = parts.map((part, i) => parseField(part, FIELDS[i]!));
  const fields = { minutes: minutes!, hours: hours!, days: days!, months: months!, weekdays: weekdays! };
  return { next: (ms) => search(fields, wallClock, ms) };
}

function durationMs(text: string): number {
  const parts = [...text.matchAll(/(\d+(?:\.\d+)?)(ms|h|m|s)/g)];
  if (parts.length === 0 || parts.map((p) => p[0]).join("") !== text) {
    throw new Error(`failed to parse duration @every ${text}`);
  }
  return parts.reduce((sum, [, count, unit]) => sum + Number(count) * UNIT_MS[unit!]!, 0);
}

function parseField(text: string, field: Field): FieldSet {
  const values = new Set<number>();
  let any = false;
  const number = (value: string): number => {
    const named = field.names.indexOf(value.toLowerCase());
    if (named >= 0) return named + field.min;
    if (!/^[+-]?\d+$/.test(value))
      throw new Error(
        `failed to parse int from ${value}: strconv.Atoi: parsing ${JSON.stringify(value)}: invalid syntax`,
      );
    if (Number(value) < 0) throw new Error(`negative number (${Number(value)}) not allowed: ${value}`);
    return Number(value);
  };
  for (const part of text.split(",")) {
    const [range = "", step, more] = part.split("/");
    if (more !== undefined) throw new Error(`too many slashes: ${part}`);
    const star = range === "*" || range === "?";
    const [from = "", to, rest] = star ? [] : range.split("-");
    if (rest !== undefined) throw new Error(`too many hyphens: ${part}`);
    const first = star ? field.min : number(from);
    // "5/15" counts on to the end, as "5-59/15" does.
    const last = star || (to === undefined && step !== undefined) ? field.max : number(to ?? from);
    const by = step === undefined ? 1 : number(step);
    if (star && by === 1) any = true;
    if (first < field.min) throw new Error(`beginning of range (${first}) below minimum (${field.min}): ${part}`);
    if (last > field.max) throw new Error(`end of range (${last}) above maximum (${field.max}): ${part}`);
    if (first > last) throw new Error(`beginning of range (${first}) beyond end of range (${last}): ${part}`);
    if (by === 0) throw new Error(`step of range should be a positive number: ${part}`);
    for (let value = first; value <= last; value += by) values.add(value);
  }
  return { values, any };
}

interface WallTime {
  month: number;
  day: number;
  hour: number;
  minute: number;
  weekday: number;
}

function wallClockOf(zone: string): (ms: number) => WallTime {
  if (zone === "UTC" || zone === "Etc/UTC") {
    return (ms) => {
      const at = new Date(ms);
      return {
        month: at.getUTCMonth() + 1,
        day: at.getUTCDate(),
        hour: at.getUTCHours(),
        minute: at.getUTCMinutes(),
        weekday: at.getUTCDay(),
      };
    };
  }
  const format = new Intl.DateTimeFormat("en-US", {
    timeZone: zone,
    hourCycle: "h23",
    month: "numeric",
    day: "numeric",
    hour: "numeric",
    minute: "numeric",
    weekday: "short",
  });
  return (ms) => {
    const parts = new Map(format.formatToParts(ms).map((part) => [part.type, part.value]));
    const number = (type: "month" | "day" | "hour" | "minute") => Number(parts.get(type));
    return {
      month: number("month"),
      day: number("day"),
      hour: number("hour"),
      minute: number("minute"),
      weekday: DAYS.indexOf((parts.get("weekday") ?? "").toLowerCase()),
    };
  };
}

type Fields = Record<"minutes" | "hours" | "days" | "months" | "weekdays", FieldSet>;

/** Steps over what cannot match; near midnight by single hours, because a day has 23 or 25 of them now and then. */
function search(fields: Fields, wallClock: (ms: number) => WallTime, after: number): number | undefined {
  let at = Math.floor(after / MINUTE_MS) * MINUTE_MS + MINUTE_MS;
  for (const end = after + SEARCH_MS; at < end; ) {
    const time = wallClock(at);
    const toNextHour = (60 - time.minute) * MINUTE_MS;
    if (!fields.months.values.has(time.month) || !matchesDay(fields, time)) {
      at += toNextHour + Math.max(0, 21 - time.hour) * HOUR_MS;
    } else if (!fields.hours.values.has(time.hour)) at += toNextHour;
    else if (fields.minutes.values.has(time.minute)) return at;
    else at += MINUTE_MS;
  }
  return undefined;
}

/** Both fields for days have to match where one of them is open, otherwise one is enough. */
function matchesDay({ days, weekdays }: Fields, time: WallTime): boolean {
  const [day, weekday] = [days.values.has(time.day), weekdays.values.has(time.weekday)];
  return days.any || weekdays.any ? day && weekday : day || weekday;
}

/** The last time after `from` and not after `now`, found from the end: a long pause may have missed very many. */
export function lastBefore(schedule: Schedule, from: number, now: number): number | undefined {
  for (let window = MINUTE_MS; ; window *= 4) {
    const start = Math.max(from, now - window);
    let found = schedule.next(start);
    if (found !== undefined && found <= now) {
      for (let next = schedule.next(found); next !== undefined && next <= now; next = schedule.next(found))
        found = next;
      return found;
    }
    if (start === from) return undefined;
  }
}
