/** React's side of the live lists: one subscription while a component shows it. */
import { useEffect, useMemo, useState, useSyncExternalStore } from "react";
import { api, type Failure, failureOf } from "./api.ts";
import { LiveStore } from "./live-store.ts";
import type { Resource } from "./places.ts";
import type { ApiObject, LiveMessage, Row } from "./wire.ts";

export interface Scope {
  tenant: string;
  resource: Resource;
  namespace?: string;
  labelSelector?: string;
  fieldSelector?: string;
}

export interface Live<Item> {
  store: LiveStore<Item>;
  /** Changes with every change of the store. */
  version: number;
  failure: Failure | undefined;
  retry(): void;
}

interface Handlers<Item> {
  onData(message: { id: string; data: LiveMessage<Item> }): void;
  onError(error: unknown): void;
}
type Subscribe<Item> = (handlers: Handlers<Item>) => { unsubscribe(): void };

/** Draws at most once a frame, and now and then while the page is hidden. */
function onNextFrame(callback: () => void): void {
  if (document.hidden) setTimeout(callback, 250);
  else requestAnimationFrame(callback);
}

class Source<Item> {
  readonly store: LiveStore<Item>;
  version = 0;
  failure: Failure | undefined;
  readonly #listeners = new Set<() => void>();
  #drawing = false;

  constructor(keyOf: (item: Item) => string) {
    this.store = new LiveStore(keyOf);
  }

  readonly listen = (listener: () => void): (() => void) => {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  };

  changed(): void {
    if (this.#drawing) return;
    this.#drawing = true;
    onNextFrame(() => {
      this.#drawing = false;
      this.version++;
      for (const listener of this.#listeners) listener();
    });
  }

  run(subscribe: Subscribe<Item>): () => void {
    const subscription = subscribe({
      onData: ({ data }) => {
        this.failure = undefined;
        this.store.apply(data);
        this.changed();
      },
      onError: (error) => {
        this.failure = failureOf(error);
        this.changed();
      },
    });
    return () => subscription.unsubscribe();
  }
}

function useSource<Item>(
  key: string,
  keyOf: (item: Item) => string,
  subscribe: Subscribe<Item> | undefined,
): Live<Item> {
  const [attempt, setAttempt] = useState(0);
  // biome-ignore lint/correctness/useExhaustiveDependencies: the key stands for everything the subscription depends on
  const source = useMemo(() => new Source<Item>(keyOf), [key, attempt]);
  // biome-ignore lint/correctness/useExhaustiveDependencies: as above
  useEffect(() => (subscribe ? source.run(subscribe) : undefined), [source]);
  const version = useSyncExternalStore(source.listen, () => source.version);
  return { store: source.store, version, failure: source.failure, retry: () => setAttempt(attempt + 1) };
}

const rowKey = (row: Row): string => row.key;
const objectKey = ({ metadata }: ApiObject): string => `${metadata.namespace ?? ""}/${metadata.name ?? ""}`;

/** Rows of a resource; nothing while `scope` is undefined. */
export function useRows(scope: Scope | undefined): Live<Row> {
  const subscribe: Subscribe<Row> | undefined = scope && ((handlers) => api.resources.rows.subscribe(scope, handlers));
  return useSource(JSON.stringify(scope ?? null), rowKey, subscribe);
}

/** One object. `gone`: it was there and is deleted now; the last that was known of it stays. */
export function useObject(
  scope: Scope & { name: string },
): Live<ApiObject> & { object: ApiObject | undefined; gone: boolean } {
  const live = useSource<ApiObject>(JSON.stringify(scope), objectKey, (handlers) =>
    api.resources.object.subscribe(scope, handlers as never),
  );
  const [first] = live.store.keys;
  const object = first === undefined ? undefined : live.store.items.get(first);
  const [last, setLast] = useState<{ scope: string; object: ApiObject }>();
  const scopeKey = JSON.stringify(scope);
  if (object && last?.object !== object) setLast({ scope: scopeKey, object });
  const known = last?.scope === scopeKey ? last.object : undefined;
  return {
    ...live,
    object: object ?? known,
    gone: object === undefined && known !== undefined && live.store.phase === "live",
  };
}
