/**
 * One priority level: so many requests at once, the rest in queues that are served in turn. A flow is dealt a hand of queues by its
 * name's hash (shuffle sharding) and waits in the shortest, so that a greedy flow fills a few queues and no others'.
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
  start(): void;
}

interface Queue {
  waiting: Waiting[];
  /** How much the queue was served, in the level's virtual time. */
  served: number;
}

export type Refusal = "concurrency-limit" | "queue-full" | "time-out" | "cancelled";

function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 0;
}

export class Level {
  spec: LevelSpec;
  /** Seats of its own. */
  seats = 0;
  executing = 0;
  waiting = 0;
  dispatched = 0;
  readonly refused: Record<Refusal, number> = {
    "concurrency-limit": 0,
    "queue-full": 0,
    "time-out": 0,
    cancelled: 0,
  };
  readonly #queues = new Map<number, Queue>();
  readonly #spare: (level: Level) => number;
  #now = 0;

  /** `spare`: seats that this level may borrow just now. */
  constructor(spec: LevelSpec, spare: (level: Level) => number) {
    this.spec = spec;
    this.#spare = spare;
  }

  get #free(): boolean {
    if (this.spec.exempt || this.executing < this.seats) return true;
    return this.executing - this.seats < this.#spare(this);
  }

  /** Own seats that stand idle and may be lent. */
  get lending(): number {
    if (this.spec.exempt) return 0;
    const lendable = Math.round((this.seats * this.spec.lendable) / 100);
    return Math.max(0, Math.min(lendable, this.seats - this.executing - this.waiting));
  }

  /** Undefined when the request may go on; it then ends with `finish`. */
  enter(flow: string, waitMs: number, signal: AbortSignal): Promise<Refusal | undefined> | undefined {
    if (this.waiting === 0 && this.#free) {
      this.#begin();
      return undefined;
    }
    const { queuing } = this.spec;
    if (!queuing) return Promise.resolve(this.#refuse("concurrency-limit"));
    const queue = this.#deal(flow, queuing);
    if (queue.waiting.length >= queuing.lengthLimit) return Promise.resolve(this.#refuse("queue-full"));
    return this.#wait(queue, waitMs, signal);
  }

  finish(): void {
    this.executing--;
    this.next();
  }

  /** Starts what waits, as long as there are seats. */
  next(): void {
    while (this.waiting > 0 && this.#free) {
      let turn: Queue | undefined;
      for (const queue of this.#queues.values()) {
        if (queue.waiting.length > 0 && (!turn || queue.served < turn.served)) turn = queue;
      }
      const first = turn?.waiting.shift();
      if (!turn || !first) return;
      this.#now = turn.served;
      turn.served++;
      this.waiting--;
      this.#begin();
      first.start();
    }
    if (this.waiting === 0 && this.#queues.size > 0) this.#queues.clear();
  }

  #begin(): void {
    this.executing++;
    this.dispatched++;
  }

  #refuse(why: Refusal): Refusal {
    this.refused[why]++;
    return why;
  }

  #deal(flow: string, { queues, handSize }: { queues: number; handSize: number }): Queue {
    let shortest: Queue | undefined;
    for (let card = 0; card < handSize; card++) {
      const index = hashOf(`${card} ${flow}`) % queues;
      const queue = this.#queues.get(index) ?? { waiting: [], served: this.#now };
      if (!this.#queues.has(index)) this.#queues.set(index, queue);
      if (!shortest || queue.waiting.length < shortest.waiting.length) shortest = queue;
    }
    return shortest ?? { waiting: [], served: 0 };
  }

  #wait(queue: Queue, waitMs: number, signal: AbortSignal): Promise<Refusal | undefined> {
    return new Promise((resolve) => {
      const leave = (why: Refusal) => {
        const at = queue.waiting.indexOf(place);
        if (at < 0) return;
        queue.waiting.splice(at, 1);
        this.waiting--;
        done();
        resolve(this.#refuse(why));
      };
      const timer = setTimeout(() => leave("time-out"), waitMs);
      const gone = () => leave("cancelled");
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", gone);
      };
      const place: Waiting = {
        start: () => {
          done();
          resolve(undefined);
        },
      };
      signal.addEventListener("abort", gone, { once: true });
      // A queue that was empty doesn't catch up on what it did not ask for.
      if (queue.waiting.length === 0) queue.served = Math.max(queue.served, this.#now);
      queue.waiting.push(place);
      this.waiting++;
    });
  }
}
