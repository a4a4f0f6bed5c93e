/** From a question's bytes to an answer's: our zone, CNAMEs followed, everything else forwarded. */
import packet, { type Answer, type Packet, type Question } from "dns-packet";
import type { Forwarder } from "./forward.ts";
import { answer, TTL_SECONDS, type ZoneRecord, type ZoneView } from "./zone.ts";

export interface ResolverOptions {
  domain: string;
  /** The zone as this client may see it; undefined when it is not (yet) known whose client it is. */
  viewOf(client: string): Promise<ZoneView | undefined>;
  forwarder: Forwarder;
}

const RCODE = { NOERROR: 0, FORMERR: 1, SERVFAIL: 2, NXDOMAIN: 3, NOTIMP: 4, REFUSED: 5 } as const;
const CNAME_STEPS_MAX = 8;
const UDP_BYTES_DEFAULT = 512;
const UDP_BYTES_MAX = 1232;

interface Result {
  code: number;
  answers: Answer[];
  additionals: Answer[];
  /** False for what other servers said. */
  own: boolean;
}

/** Undefined for what must not be answered (no DNS at all, or itself an answer). */
export async function respond(
  options: ResolverOptions,
  query: Buffer,
  client: string,
  viaTcp: boolean,
): Promise<Buffer | undefined> {
  if (query.length < 12 || query.readUInt16BE(2) & 0x8000) return undefined;
  let request: Packet;
  try {
    request = packet.decode(query);
  } catch {
    return failure(query, RCODE.FORMERR);
  }
  const question = request.questions?.[0];
  if ((query.readUInt16BE(2) >> 11) & 0xf) return failure(query, RCODE.NOTIMP);
  if (!question || request.questions?.length !== 1) return failure(query, RCODE.FORMERR);
  try {
    const view = await options.viewOf(client);
    if (!view) return failure(query, RCODE.SERVFAIL);
    const name = question.name.replace(/\.$/, "");
    const known = answer(name, question.type, options.domain, view);
    if (known.kind === "forward") return await options.forwarder.ask(query, viaTcp);
    const result: Result =
      known.kind === "nxdomain"
        ? { code: RCODE.NXDOMAIN, answers: [], additionals: [], own: true }
        : {
            code: RCODE.NOERROR,
            answers: shuffled(known.records.map(toAnswer)),
            additionals: known.additionals.map(toAnswer),
            own: true,
          };
    await followCname(options, view, question, result);
    return encode(options.domain, request, question, result, viaTcp);
  } catch {
    return failure(query, RCODE.SERVFAIL);
  }
}

const toAnswer = (record: ZoneRecord): Answer => ({ ...record, class: "IN", ttl: TTL_SECONDS }) as Answer;

/** Clients of one name are spread over its addresses. */
function shuffled<T>(list: T[]): T[] {
  const start = Math.floor(Math.random() * Math.max(list.length, 1));
  return [...list.slice(start), ...list.slice(0, start)];
}

/** Programs' resolvers do not follow CNAMEs themselves: the answer must carry the whole chain. */
async function followCname(
  options: ResolverOptions,
  view: ZoneView,
  question: Question,
  result: Result,
): Promise<void> {
  if (question.type === "CNAME") return;
  for (let step = 0; step < CNAME_STEPS_MAX; step++) {
    const last = result.answers.at(-1);
    if (last?.type !== "CNAME") return;
    const next = answer(last.data, question.type, options.domain, view);
    if (next.kind === "nxdomain") {
      result.code = RCODE.NXDOMAIN;
      return;
    }
    if (next.kind === "records") {
      result.answers.push(...next.records.map(toAnswer));
      if (next.records.length === 0) return;
      continue;
    }
    const id = Math.floor(Math.random() * 65_536);
    const query = packet.encode({
      type: "query",
      id,
      flags: packet.RECURSION_DESIRED,
      questions: [{ ...question, name: last.data }],
    });
    const reply = packet.decode(await options.forwarder.ask(query, false));
    result.own = false;
    result.answers.push(...(reply.answers ?? []));
    result.code = (reply.flags ?? 0) & 0xf;
    return;
  }
}

function encode(domain: string, request: Packet, question: Question, result: Result, viaTcp: boolean): Buffer {
  const edns = request.additionals?.find((record) => record.type === "OPT");
  const negative = result.answers.length === 0;
  const opt = edns
    ? [
        {
          type: "OPT" as const,
          name: ".",
          udpPayloadSize: UDP_BYTES_MAX,
          flags: 0,
          options: [],
          extendedRcode: 0,
          ednsVersion: 0,
          flag_do: false,
        },
      ]
    : [];
  const base = {
    type: "response" as const,
    id: request.id ?? 0,
    questions: [question],
  };
  const flags =
    ((request.flags ?? 0) & packet.RECURSION_DESIRED) |
    packet.RECURSION_AVAILABLE |
    (result.own ? packet.AUTHORITATIVE_ANSWER : 0) |
    result.code;
  const whole = packet.encode({
    ...base,
    flags,
    answers: result.answers,
    authorities: negative ? [soa(domain)] : [],
    additionals: [...result.additionals, ...opt],
  });
  const asked = edns && "udpPayloadSize" in edns ? Number(edns.udpPayloadSize) : UDP_BYTES_DEFAULT;
  const limit = Math.min(Math.max(asked, UDP_BYTES_DEFAULT), UDP_BYTES_MAX);
  if (viaTcp || whole.length <= limit) return whole;
  // Additional addresses are a kindness; what does not fit then is asked for again over TCP.
  const bare = packet.encode({ ...base, flags, answers: result.answers, additionals: opt });
  if (bare.length <= limit) return bare;
  return packet.encode({ ...base, flags: flags | packet.TRUNCATED_RESPONSE, answers: [], additionals: opt });
}

const soa = (domain: string): Answer => ({
  type: "SOA",
  name: domain,
  ttl: TTL_SECONDS,
  data: {
    mname: `ns.dns.${domain}`,
    rname: `hostmaster.${domain}`,
    serial: 1,
    refresh: 7200,
    retry: 1800,
    expire: 86_400,
    minimum: TTL_SECONDS,
  },
});

/** The question back with a code. */
function failure(query: Buffer, code: number): Buffer {
  const header = Buffer.alloc(12);
  query.copy(header, 0, 0, 2);
  header.writeUInt16BE(0x8080 | (query.readUInt16BE(2) & 0x0100) | code, 2);
  return header;
}
