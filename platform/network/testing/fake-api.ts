/** For tests: an API that informers can watch, in memory. */
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { type Client, keyOf, type WatchEvent, type WatchOptions } from "#sdk/client/port.ts";

type Event = WatchEvent<KubeObject>;

export class FakeApi {
  private revision = 1;
  private readonly objects = new Map<string, Map<string, KubeObject>>();
  private readonly watchers = new Map<string, Set<(event: Event) => void>>();

  put(resource: string, object: KubeObject): void {
    const of = this.of(resource);
    const type = of.has(keyOf(object)) ? "MODIFIED" : "ADDED";
    const stored = { ...object, metadata: { ...object.metadata, resourceVersion: String(++this.revision) } };
    of.set(keyOf(stored), stored);
    this.send(resource, { type, object: stored });
  }

  remove(resource: string, object: KubeObject): void {
    const stored = this.of(resource).get(keyOf(object));
    if (!stored) return;
    this.of(resource).delete(keyOf(object));
    this.send(resource, {
      type: "DELETED",
      object: { ...stored, metadata: { ...stored.metadata, resourceVersion: String(++this.revision) } },
    });
  }

  client(): Client {
    const refuse = (): never => {
      throw new Error("the test's API only watches");
    };
    const client: Client = {
      tenant: () => client,
      watch: <T extends KubeObject>(r: GroupVersionResource, o: WatchOptions) =>
        this.watch(r.resource, o) as AsyncIterable<WatchEvent<T>>,
      get: refuse,
      list: refuse,
      create: refuse,
      update: refuse,
      patch: refuse,
      delete: refuse,
      deleteCollection: refuse,
      raw: refuse,
      close: () => undefined,
    };
    return client;
  }

  private of(resource: string): Map<string, KubeObject> {
    const known = this.objects.get(resource) ?? new Map<string, KubeObject>();
    this.objects.set(resource, known);
    return known;
  }

  private send(resource: string, event: Event): void {
    for (const watcher of this.watchers.get(resource) ?? []) watcher(event);
  }

  private async *watch(resource: string, options: WatchOptions): AsyncGenerator<Event> {
    const queue: Event[] = [...this.of(resource).values()].map((object) => ({ type: "ADDED", object }));
    queue.push({
      type: "BOOKMARK",
      object: {
        metadata: { resourceVersion: String(this.revision), annotations: { "k8s.io/initial-events-end": "true" } },
      },
    });
    let wake: () => void = () => undefined;
    const watcher = (event: Event) => {
      queue.push(event);
      wake();
    };
    const all = this.watchers.get(resource) ?? new Set();
    this.watchers.set(resource, all.add(watcher));
    options.signal.addEventListener("abort", () => wake());
    while (!options.signal.aborted) {
      const event = queue.shift();
      if (event) yield event;
      else
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
    all.delete(watcher);
  }
}
