/** Clients that write, read and watch a few keys, and what they saw. */
import { delay } from "#platform/base/clock.ts";
import type { Cluster } from "../support/cluster.ts";
import type { Random } from "../support/random.ts";
import type { Operation, ReadRecord, WatchRecord, WriteRecord } from "./record.ts";

const KEYS = 24;
const NAMESPACE = "default";

export interface Item {
  metadata: { name: string; uid: string; resourceVersion: string; deletionTimestamp?: string };
  /** The write that made this version. */
  data?: { op: string };
}

const collection = (url: string) => `${url}/api/v1/namespaces/${NAMESPACE}/configmaps`;
const rv = (item: { metadata: { resourceVersion?: string } }): number => Number(item.metadata.resourceVersion);
const ours = (name: string): boolean => name.startsWith("key-");

export interface Recorded {
  writes: WriteRecord[];
  reads: ReadRecord[];
  watches: WatchRecord[];
}

export class Traffic {
  readonly recorded: Recorded = { writes: [], reads: [], watches: [] };
  readonly #cluster: Cluster;
  #writing = true;
  #ops = 0;

  constructor(cluster: Cluster) {
    this.#cluster = cluster;
  }

  stopWriting(): void {
    this.#writing = false;
  }

  /** One client: prefers a server, goes to another when that does not answer. */
  async client(random: Random): Promise<void> {
    const held = new Map<string, Item>();
    let at = random.below(this.#cluster.servers.length);
    while (this.#writing) {
      const { url } = this.#cluster.servers[at % this.#cluster.servers.length]!;
      const answered = await this.#step(url, random, held);
      if (answered) continue;
      at++;
      await delay(20 + random.below(80));
    }
  }

  /** False when the server did not answer or could not. */
  async #step(url: string, random: Random, held: Map<string, Item>): Promise<boolean> {
    const name = `key-${random.below(KEYS)}`;
    const known = held.get(name);
    const dice = random.next();
    if (dice < 0.08) return this.#list(url, held);
    if (dice < 0.2) return this.#get(url, name, held);
    if (!known || dice < 0.25) return this.#write("create", url, name, undefined, held);
    if (dice < 0.65) return this.#write("update", url, name, known, held);
    if (dice < 0.75) return this.#write("overwrite", url, name, undefined, held);
    if (dice < 0.92) return this.#write("patch", url, name, undefined, held);
    return this.#write("delete", url, name, known, held);
  }

  async #write(
    type: Operation,
    url: string,
    name: string,
    expected: Item | undefined,
    held: Map<string, Item>,
  ): Promise<boolean> {
    const op = `op-${++this.#ops}`;
    const record: WriteRecord = {
      op,
      type,
      name,
      started: performance.now(),
      ended: Number.POSITIVE_INFINITY,
      outcome: "unknown",
    };
    if (expected) record.expected = { uid: expected.metadata.uid, revision: rv(expected) };
    this.recorded.writes.push(record);
    const one = `${collection(url)}/${name}`;
    const { client } = this.#cluster;
    const object = (more: object) => ({
      apiVersion: "v1",
      kind: "ConfigMap",
      metadata: { name, ...more },
      data: { op },
    });
    const precondition = expected && { uid: expected.metadata.uid, resourceVersion: expected.metadata.resourceVersion };
    const send = {
      create: () => client.send("POST", collection(url), object({})),
      update: () => client.send("PUT", one, object(precondition ?? {})),
      overwrite: () => client.send("PUT", one, object({})),
      patch: () => client.send("PATCH", one, { data: { op } }, "application/merge-patch+json"),
      delete: () => client.send("DELETE", one, { preconditions: precondition ?? {} }),
    };
    try {
      const { code, body } = await send[type]();
      if (code >= 500 || code === 429) return false;
      record.ended = performance.now();
      record.outcome = code < 300 ? "done" : "refused";
      const item = body as Item;
      if (code < 300 && type !== "delete") {
        record.revision = rv(item);
        held.set(name, item);
      } else held.delete(name);
      if (code === 409) await this.#get(url, name, held);
      return true;
    } catch {
      return false;
    }
  }

  async #get(url: string, name: string, held: Map<string, Item>): Promise<boolean> {
    const started = performance.now();
    try {
      const { code, body } = await this.#cluster.client.send("GET", `${collection(url)}/${name}`);
      if (code !== 200 && code !== 404) return false;
      const item = code === 200 ? (body as Item) : undefined;
      if (item) held.set(name, item);
      else held.delete(name);
      const revision = item ? rv(item) : undefined;
      this.recorded.reads.push({
        type: "get",
        name,
        started,
        ended: performance.now(),
        ...(revision ? { revision } : {}),
      });
      return true;
    } catch {
      return false;
    }
  }

  async #list(url: string, held: Map<string, Item>): Promise<boolean> {
    const started = performance.now();
    try {
      const { code, body } = await this.#cluster.client.send("GET", collection(url));
      if (code !== 200) return false;
      const list = body as { metadata: { resourceVersion: string }; items: Item[] };
      const items = list.items.filter((item) => ours(item.metadata.name));
      for (const item of items) held.set(item.metadata.name, item);
      const versions = new Map(items.map((item) => [item.metadata.name, rv(item)]));
      this.recorded.reads.push({
        type: "list",
        started,
        ended: performance.now(),
        revision: rv(list),
        items: versions,
      });
      return true;
    } catch {
      return false;
    }
  }

  /** Lists, watches from there, goes on where it was after every lost connection, and lists again after 410. Ends at `until`. */
  async watcher(random: Random, slow: boolean, until: Promise<number>): Promise<void> {
    let end = Number.POSITIVE_INFINITY;
    const abort = new AbortController();
    void until.then((revision) => {
      end = revision;
      // Whoever waits for a quiet stream is woken to see that it is at the end.
      for (const w of this.recorded.watches) w.wake?.();
    });
    for (let at = random.below(2); ; at++) {
      const { url } = this.#cluster.servers[at % this.#cluster.servers.length]!;
      const record = await this.#startWatch(url);
      if (!record) {
        await delay(100);
        continue;
      }
      this.recorded.watches.push(record);
      while (!record.expired && record.reached < end) {
        const server = this.#cluster.servers[at % this.#cluster.servers.length]!;
        await this.#follow(server.url, record, slow, random, () => end, abort.signal).catch(() => undefined);
        if (!record.expired && record.reached < end) {
          at++;
          await delay(50 + random.below(100));
        }
      }
      if (!record.expired) return;
    }
  }

  async #startWatch(url: string): Promise<WatchRecord | undefined> {
    const answer = await this.#cluster.client.send("GET", `${collection(url)}?limit=500`).catch(() => undefined);
    if (answer?.code !== 200) return undefined;
    const start = rv(answer.body as Item);
    return { start, reached: start, events: [], expired: false };
  }

  async #follow(
    url: string,
    record: WatchRecord,
    slow: boolean,
    random: Random,
    end: () => number,
    signal: AbortSignal,
  ) {
    const own = new AbortController();
    const stop = AbortSignal.any([signal, own.signal]);
    record.wake = () => record.reached >= end() && own.abort();
    // A server that is stopped leaves its streams open and silent; bookmarks come every ten seconds from one that lives.
    let heard = performance.now();
    const silence = setInterval(() => performance.now() - heard > 15_000 && own.abort(), 1_000);
    const query = `watch=1&allowWatchBookmarks=true&resourceVersion=${record.reached}`;
    try {
      for await (const line of this.#cluster.client.lines(`${collection(url)}?${query}`, stop)) {
        heard = performance.now();
        const event = JSON.parse(line) as {
          type?: string;
          kind?: string;
          code?: number;
          object: Item & { code?: number };
        };
        if (event.type === "ERROR" || event.kind === "Status") {
          if ((event.object?.code ?? event.code) === 410) record.expired = true;
          return;
        }
        record.reached = rv(event.object);
        if (event.type !== "BOOKMARK" && ours(event.object.metadata.name))
          record.events.push({
            type: (event.type ?? "").toLowerCase(),
            name: event.object.metadata.name,
            revision: record.reached,
            op: event.object.data?.op ?? "",
          });
        if (record.reached >= end()) return;
        if (slow && random.next() < 0.01) await delay(1_000);
      }
    } finally {
      clearInterval(silence);
      own.abort();
    }
  }
}
