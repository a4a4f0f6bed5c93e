/**
 * One priority level: so many requests at once, the rest in queues. A flow is dealt a hand of queues by its name's hash (shuffle sharding) and
 * waits in the shortest, so that a greedy flow fills a few queues and no others'. Queues share the seats by the time that their requests hold
 * them (start-time fair queuing): who is slow is served less often, who was idle saves nothing up. A request that is much work holds several
 * seats; whose turn it is waits for as many, and nobody overtakes.
 */
export interface LevelSpec {
  name: string;
  uid: string;
  exempt: boolean;
  shares: number;
  /** Percent of the own seats that others may use while they are idle. */
  lendable: number;
  /** Percent of the own seats that may be borrowed at most; undefined: no bound of its own. */
  borrowing: number | undefined;
  /** Undefined: what finds no seat is refused. */
  queuing: { queues: number; handSize: number; lengthLimit: number } | undefined;
}

interface Waiting {
  width: number;
  start(seat: Seat): void;
}

interface Queue {
  waiting: Waiting[];
  executing: number;
  /** Milliseconds of seats' service that the queue has had, in the level's virtual time. */
  served: number;
}

/** What a request holds while it is executed; to be given back by `finish`. */
export interface Seat {
  queue: Queue | undefined;
  /** Of so many seats. */
  width: number;
  began: number;
  /** Milliseconds that the queue was charged in advance, for each. */
  charged: number;
}

export type Refusal = "concurrency-limit" | "queue-full" | "time-out" | "cancelled";

/** What a request is taken to last as long as nothing is known, as upstream. */
const FIRST_ESTIMATE_MS = 3;
/** How much the newest request says of the next. */
const LEARNING = 0.1;
/** What one request may take of a level at most, as upstream. */
const WIDTH_SHARE_MAX = 0.15;

function hashOf(text: string, seed: number): number {
  let hash = (0x811c9dc5 ^ Math.imul(seed, 0x9e3779b1)) >>> 0;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  hash ^= hash >>> 15;
  return Math.imul(hash, 0x85ebca6b) >>> 0;
}

/** Different cards of a deck, the same for the same flow. */
export function handOf(flow: string, deck: number, size: number): number[] {
  const hand: number[] = [];
  for (let i = 0; i < Math.min(size, deck); i++) {
    let card = hashOf(flow, i) % (deck - i);
    // The card's place among those that are left.
    for (const dealt of hand.toSorted((a, b) => a - b)) if (card >= dealt) card++;
    hand.push(card);
  }
  return hand;
}

export class Level {
  spec: LevelSpec;
  /** Seats of its own. */
  seats = 0;
  executing = 0;
  /** Seats that what is executed holds. */
  held = 0;
  waiting = 0;
  /** Seats that what waits asks for. */
  asked = 0;
  dispatched = 0;
  readonly refused: Record<Refusal, number> = {
    "concurrency-limit": 0,
    "queue-full": 0,
    "time-out": 0,
    cancelled: 0,
  };
  readonly #queues = new Map<number, Queue>();
  readonly #spare: (level: Level) => number;
  readonly #clock: () => number;
  #now = 0;
  #estimate = FIRST_ESTIMATE_MS;

  /** `spare`: seats that this level may borrow just now. `clock`: milliseconds. */
  constructor(spec: LevelSpec, spare: (level: Level) => number, clock: () => number = () => performance.now()) {
    this.spec = spec;
    this.#spare = spare;
    this.#clock = clock;
  }

  /** Whether there are so many seats. Who is alone may go on with less. */
  #free(width: number): boolean {
    const beyond = this.held + (this.held === 0 ? 1 : width) - this.seats;
    return this.spec.exempt || beyond <= 0 || beyond <= this.#spare(this);
  }

  /** Seats that one request may hold at most. */
  get widest(): number {
    const share = Math.ceil(this.seats * WIDTH_SHARE_MAX);
    const { queuing } = this.spec;
    return Math.max(1, queuing ? Math.min(share, Math.floor(this.seats / queuing.handSize)) : share);
  }

  /** Own seats that stand idle and may be lent. */
  get lending(): number {
    if (this.spec.exempt) return 0;
    const lendable = Math.round((this.seats * this.spec.lendable) / 100);
    return Math.max(0, Math.min(lendable, this.seats - this.held - this.asked));
  }

  /** A seat when the request may go on at once, else what comes of waiting for one. */
  enter(flow: string, waitMs: number, signal: AbortSignal, asked = 1): Seat | Promise<Seat | Refusal> {
    const { queuing, exempt } = this.spec;
    const width = Math.min(asked, this.widest);
    const queue = queuing && !exempt ? this.#deal(flow, queuing) : undefined;
    if (this.waiting === 0 && this.#free(width)) return this.#begin(queue, width);
    if (!queue || !queuing) return Promise.resolve(this.#refuse("concurrency-limit"));
    if (queue.waiting.length >= queuing.lengthLimit) return Promise.resolve(this.#refuse("queue-full"));
    return this.#wait(queue, width, waitMs, signal);
  }

  finish({ queue, width, began, charged }: Seat): void {
    const lasted = this.#clock() - began;
    this.#estimate += (lasted - this.#estimate) * LEARNING;
    this.executing--;
    this.held -= width;
    if (queue) {
      queue.executing--;
      queue.served += (lasted - charged) * width;
    }
    this.next();
  }

  /** Starts what waits, as long as there are seats. */
  next(): void {
    while (this.waiting > 0) {
      let turn: Queue | undefined;
      for (const queue of this.#queues.values()) {
        if (queue.waiting.length > 0 && (!turn || queue.served < turn.served)) turn = queue;
      }
      const first = turn?.waiting[0];
      if (!turn || !first || !this.#free(first.width)) break;
      turn.waiting.shift();
      this.waiting--;
      this.asked -= first.width;
      first.start(this.#begin(turn, first.width));
    }
    if (this.waiting === 0 && this.executing === 0) this.#queues.clear();
  }

  #begin(queue: Queue | undefined, width: number): Seat {
    this.executing++;
    this.held += width;
    this.dispatched++;
    const seat = { queue, width, began: this.#clock(), charged: this.#estimate };
    if (queue) {
      queue.executing++;
      this.#now = Math.max(this.#now, queue.served);
      queue.served += seat.charged * width;
    }
    return seat;
  }

  #refuse(why: Refusal): Refusal {
    this.refused[why]++;
    return why;
  }

  #deal(flow: string, { queues, handSize }: { queues: number; handSize: number }): Queue {
    let best: Queue | undefined;
    for (const index of handOf(flow, queues, handSize)) {
      const queue = this.#queues.get(index) ?? { waiting: [], executing: 0, served: this.#now };
      if (!this.#queues.has(index)) this.#queues.set(index, queue);
      const order = best ? queue.waiting.length - best.waiting.length || queue.executing - best.executing : -1;
      if (order < 0) best = queue;
    }
    const queue = best ?? { waiting: [], executing: 0, served: this.#now };
    // A queue that was idle doesn't catch up on what it did not ask for.
    if (queue.waiting.length === 0 && queue.executing === 0) queue.served = Math.max(queue.served, this.#now);
    return queue;
  }

  #wait(queue: Queue, width: number, waitMs: number, signal: AbortSignal): Promise<Seat | Refusal> {
    return new Promise((resolve) => {
      const leave = (why: Refusal) => {
        const at = queue.waiting.indexOf(place);
        if (at < 0) return;
        queue.waiting.splice(at, 1);
        this.waiting--;
        this.asked -= width;
        done();
        resolve(this.#refuse(why));
        // It may have kept those waiting who need less.
        this.next();
      };
      const timer = setTimeout(() => leave("time-out"), waitMs);
      const gone = () => leave("cancelled");
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", gone);
      };
      const place: Waiting = {
        width,
        start: (seat) => {
          done();
          resolve(seat);
        },
      };
      signal.addEventListener("abort", gone, { once: true });
      queue.waiting.push(place);
      this.waiting++;
      this.asked += width;
    });
  }
}
