/**
 * Answers of the host's resolvers, kept for as long as they say (half a minute at most: what stands behind them changes too), and one question
 * for all who ask the same at once. The world's names are the same for every tenant.
 */
import packet, { type Answer, type Packet } from "dns-packet";
import type { Forwarder } from "./forward.ts";

const ENTRIES_MAX = 10_000;
const KEEP_SECONDS_MAX = 30;
const NOERROR = 0;
const NXDOMAIN = 3;
const TYPE_OPT = "OPT";

interface Entry {
  reply: Packet;
  /** Milliseconds of `now()`. */
  at: number;
  untilMs: number;
}

/** Undefined for what must not be answered from memory: other classes, several questions, DNSSEC data wanted. */
function keyOf(query: Buffer, viaTcp: boolean): string | undefined {
  try {
    const { questions, additionals } = packet.decode(query);
    const [question] = questions ?? [];
    if (!question || questions?.length !== 1 || (question.class ?? "IN") !== "IN") return undefined;
    if (additionals?.some((one) => one.type === TYPE_OPT && "flag_do" in one && one.flag_do === true)) return undefined;
    const room = additionals?.find((one) => one.type === TYPE_OPT);
    const size = room && "udpPayloadSize" in room ? room.udpPayloadSize : 512;
    return `${question.type} ${question.name.toLowerCase()} ${viaTcp ? "tcp" : size}`;
  } catch {
    return undefined;
  }
}

const timed = (records: readonly Answer[] | undefined): { ttl: number }[] =>
  (records ?? []).flatMap((record) =>
    record.type !== TYPE_OPT && "ttl" in record && record.ttl !== undefined ? [{ ttl: record.ttl }] : [],
  );

/** Seconds that an answer may be kept; 0: not at all. RFC 2308: a negative one as long as its SOA's minimum says. */
export function lifetime(reply: Packet): number {
  const flags = reply.flags ?? 0;
  const code = flags & 0xf;
  if ((code !== NOERROR && code !== NXDOMAIN) || (flags & packet.TRUNCATED_RESPONSE) !== 0) return 0;
  if ((reply.answers ?? []).length > 0)
    return Math.min(KEEP_SECONDS_MAX, ...timed(reply.answers).map(({ ttl }) => ttl));
  const soa = reply.authorities?.find((record) => record.type === "SOA");
  if (soa?.type !== "SOA") return 0;
  return Math.min(KEEP_SECONDS_MAX, soa.ttl ?? 0, soa.data.minimum ?? 0);
}

/** The kept reply to this query: its id, its question's letters, and times to live that have gone on. */
function replay({ reply, at }: Entry, query: Buffer, now: number): Buffer {
  const passed = Math.floor((now - at) / 1000);
  const older = (records: Answer[] | undefined): Answer[] =>
    (records ?? []).map((record) =>
      record.type !== TYPE_OPT && "ttl" in record
        ? ({ ...record, ttl: Math.max(0, (record.ttl ?? 0) - passed) } as Answer)
        : record,
    );
  return packet.encode({
    ...reply,
    type: "response",
    id: query.readUInt16BE(0),
    questions: packet.decode(query).questions ?? [],
    answers: older(reply.answers),
    authorities: older(reply.authorities),
    additionals: older(reply.additionals),
  });
}

/** `now`: milliseconds of a clock that only goes forward. */
export function cached(forwarder: Forwarder, now: () => number = () => performance.now()): Forwarder {
  const entries = new Map<string, Entry>();
  const asking = new Map<string, Promise<Buffer>>();

  const ask = async (key: string, query: Buffer, viaTcp: boolean): Promise<Buffer> => {
    const answer = await forwarder.ask(query, viaTcp);
    const reply = packet.decode(answer);
    const seconds = lifetime(reply);
    if (seconds > 0) {
      // The oldest goes: a Map keeps the order in which keys came.
      const [oldest] = entries.keys();
      if (entries.size >= ENTRIES_MAX && oldest !== undefined) entries.delete(oldest);
      entries.delete(key);
      entries.set(key, { reply, at: now(), untilMs: now() + seconds * 1000 });
    }
    return answer;
  };

  return {
    async ask(query, viaTcp) {
      const key = keyOf(query, viaTcp);
      if (key === undefined) return await forwarder.ask(query, viaTcp);
      const known = entries.get(key);
      if (known && known.untilMs > now()) return replay(known, query, now());
      const running = asking.get(key);
      if (running) {
        const reply = packet.decode(await running);
        return replay({ reply, at: now(), untilMs: now() }, query, now());
      }
      const answer = ask(key, query, viaTcp);
      asking.set(key, answer);
      try {
        return await answer;
      } finally {
        asking.delete(key);
      }
    },
  };
}
