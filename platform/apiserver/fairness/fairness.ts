/**
 * Priority and fairness: FlowSchemas and PriorityLevelConfigurations of the root tenant decide which requests wait for which. They hold for
 * all tenants, whose flows are kept apart; what is exempt in root is so for root's own users only, since anybody may be system:masters of
 * a tenant. Seats are this server's (upstream's --max-requests-inflight and its mutating sibling, together).
 */
import type { Log } from "#platform/base/log.ts";
import { ROOT_TENANT, type Store } from "#platform/store/port.ts";
import { bootstrap } from "#sdk/api/facts.ts";
import { tooManyRequests } from "#sdk/api/status.ts";
import type { UserInfo } from "../registry/admission.ts";
import { followed } from "./follow.ts";
import { Level, type LevelSpec } from "./level.ts";
import { type FlowRequest, type FlowSchema, flowOf, inOrder, isSubject, MANDATORY, ruleFits } from "./schemas.ts";
import { Widths } from "./width.ts";

const GROUP = "flowcontrol.apiserver.k8s.io";
const SEATS = 600;
/** A quarter of a request's time, as upstream. */
const WAIT_MS = 15_000;
const KNOWN_USERS_MAX = 2000;

interface SchemaObject {
  metadata: { name: string; uid?: string };
  spec: {
    matchingPrecedence?: number;
    priorityLevelConfiguration: { name: string };
    distinguisherMethod?: { type: FlowSchema["distinguisher"] };
    rules?: FlowSchema["rules"];
  };
}

interface LevelObject {
  metadata: { name: string; uid?: string };
  spec: {
    type: "Exempt" | "Limited";
    limited?: {
      nominalConcurrencyShares?: number;
      lendablePercent?: number;
      borrowingLimitPercent?: number;
      limitResponse?: {
        type: "Queue" | "Reject";
        queuing?: { queues?: number; handSize?: number; queueLengthLimit?: number };
      };
    };
  };
}

const schemaOf = ({ metadata, spec }: SchemaObject): FlowSchema => ({
  name: metadata.name,
  uid: metadata.uid ?? "",
  precedence: spec.matchingPrecedence ?? 1000,
  level: spec.priorityLevelConfiguration.name,
  distinguisher: spec.distinguisherMethod?.type,
  rules: spec.rules ?? [],
});

function levelOf({ metadata, spec }: LevelObject): LevelSpec {
  const { limited } = spec;
  const { queues = 64, handSize = 8, queueLengthLimit = 50 } = limited?.limitResponse?.queuing ?? {};
  return {
    name: metadata.name,
    uid: metadata.uid ?? "",
    exempt: spec.type === "Exempt",
    shares: limited?.nominalConcurrencyShares ?? 30,
    lendable: limited?.lendablePercent ?? 0,
    borrowing: limited?.borrowingLimitPercent,
    queuing: limited?.limitResponse?.type === "Queue" ? { queues, handSize, lengthLimit: queueLengthLimit } : undefined,
  };
}

/** A request's place: headers to answer with, and what to call when it is done. */
export interface Place {
  schemaUid: string;
  levelUid: string;
  finish(): void;
}

export class Fairness {
  readonly #log: Log;
  readonly #seats: number;
  readonly #schemas = new Map<string, FlowSchema>();
  readonly #levels = new Map<string, Level>();
  #widths: Widths | undefined;
  #byUser = new Map<string, FlowSchema[]>();
  #ordered: FlowSchema[] = [];

  constructor(log: Log, seats = SEATS) {
    this.#log = log;
    this.#seats = seats;
    const known = bootstrap();
    for (const object of known.flowSchemas) {
      const schema = schemaOf(object as unknown as SchemaObject);
      this.#schemas.set(schema.name, schema);
    }
    for (const object of known.priorityLevelConfigurations) this.#putLevel(levelOf(object as unknown as LevelObject));
    this.#changed();
  }

  /** Follows the objects until the signal aborts; upstream's defaults hold until they are read. */
  start(store: Store, signal: AbortSignal): void {
    this.#widths = new Widths(store);
    this.#follow(store, "flowschemas", signal, (object, gone) => {
      const schema = schemaOf(object as SchemaObject);
      if (!gone) this.#schemas.set(schema.name, schema);
      else if (!MANDATORY.has(schema.name)) this.#schemas.delete(schema.name);
    });
    this.#follow(store, "prioritylevelconfigurations", signal, (object, gone) => {
      const spec = levelOf(object as LevelObject);
      if (!gone) this.#putLevel(spec);
      else if (!MANDATORY.has(spec.name)) this.#levels.delete(spec.name);
    });
  }

  #follow(store: Store, resource: string, signal: AbortSignal, put: (object: unknown, gone: boolean) => void): void {
    const scope = { tenant: ROOT_TENANT, resource: `${resource}.${GROUP}` };
    void followed({ store, scope, signal, log: this.#log }, (changes) => {
      for (const { object, type } of changes) put(JSON.parse(object.document), type === "deleted");
      this.#changed();
    });
  }

  #putLevel(spec: LevelSpec): void {
    const known = this.#levels.get(spec.name);
    if (known) known.spec = spec;
    else this.#levels.set(spec.name, new Level(spec, (level) => this.#spare(level)));
  }

  /** Seats anew, and who belongs where. */
  #changed(): void {
    const limited = [...this.#levels.values()].filter((level) => !level.spec.exempt);
    const shares = limited.reduce((sum, level) => sum + level.spec.shares, 0);
    for (const level of limited) level.seats = Math.ceil((this.#seats * level.spec.shares) / Math.max(1, shares));
    this.#ordered = inOrder(this.#schemas.values());
    this.#byUser = new Map();
    for (const level of limited) level.next();
  }

  /** What the others lend, less what is borrowed already. */
  #spare(level: Level): number {
    const { borrowing } = level.spec;
    let idle = 0;
    let borrowed = 0;
    for (const other of this.#levels.values()) {
      if (other === level) continue;
      idle += other.lending;
      if (!other.spec.exempt) borrowed += Math.max(0, other.held - other.seats);
    }
    const spare = Math.max(0, idle - borrowed);
    return borrowing === undefined ? spare : Math.min(spare, Math.round((level.seats * borrowing) / 100));
  }

  #schemasFor(user: UserInfo): FlowSchema[] {
    const key = `${user.tenant} ${user.name} ${user.groups.join(" ")}`;
    const known = this.#byUser.get(key);
    if (known) return known;
    const own = this.#ordered.filter((schema) => {
      const exempt = this.#levels.get(schema.level)?.spec.exempt === true;
      if (exempt && user.tenant !== ROOT_TENANT && schema.name !== "probes") return false;
      return schema.rules.some((rule) => rule.subjects.some((subject) => isSubject(user, subject)));
    });
    if (this.#byUser.size >= KNOWN_USERS_MAX) this.#byUser.clear();
    this.#byUser.set(key, own);
    return own;
  }

  #classify(request: FlowRequest): { schema: FlowSchema; level: Level } | undefined {
    const { user } = request;
    for (const schema of this.#schemasFor(user)) {
      const level = this.#levels.get(schema.level);
      if (!level) continue;
      for (const rule of schema.rules) {
        if (ruleFits(rule, request) && rule.subjects.some((subject) => isSubject(user, subject)))
          return { schema, level };
      }
    }
    return undefined;
  }

  /** Throws StatusError 429 with Retry-After when there is no room; waits for its turn where the level has queues. */
  async enter(request: FlowRequest, signal: AbortSignal): Promise<Place> {
    const found = this.#classify(request);
    // The catch-all takes what nothing else does, except for what is exempt in root alone.
    if (!found) throw tooManyRequests("too many requests, please try again later", 1);
    const { schema, level } = found;
    const wide = request.verb === "list" && request.isResource && !level.spec.exempt && level.widest > 1;
    const width = wide && this.#widths ? await this.#widths.of(request) : 1;
    const entered = level.enter(flowOf(schema, request), WAIT_MS, signal, width);
    const seat = entered instanceof Promise ? await entered : entered;
    if (typeof seat === "string") throw tooManyRequests("too many requests, please try again later", 1);
    let open = true;
    const finish = () => {
      if (!open) return;
      open = false;
      level.finish(seat);
      if (level.held < level.seats) this.#lend();
    };
    return { schemaUid: schema.uid, levelUid: level.spec.uid, finish };
  }

  /** A seat came free: whoever waits beyond its own may have it. */
  #lend(): void {
    for (const level of this.#levels.values()) if (level.waiting > 0) level.next();
  }

  /** In upstream's names: sample → value. */
  metrics(): Map<string, number> {
    const samples = new Map<string, number>();
    for (const { spec, executing, held, waiting, seats, dispatched, refused } of this.#levels.values()) {
      const label = `priority_level="${spec.name}"`;
      samples.set(`apiserver_flowcontrol_current_executing_requests{${label}}`, executing);
      samples.set(`apiserver_flowcontrol_current_executing_seats{${label}}`, held);
      samples.set(`apiserver_flowcontrol_current_inqueue_requests{${label}}`, waiting);
      samples.set(`apiserver_flowcontrol_nominal_limit_seats{${label}}`, seats);
      samples.set(`apiserver_flowcontrol_dispatched_requests_total{${label}}`, dispatched);
      for (const [reason, count] of Object.entries(refused)) {
        if (count > 0) samples.set(`apiserver_flowcontrol_rejected_requests_total{${label},reason="${reason}"}`, count);
      }
    }
    return samples;
  }
}
