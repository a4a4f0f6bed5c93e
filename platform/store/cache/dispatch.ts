/** Which watchers a change concerns: each watcher stands under one key, and a change looks up the few keys that can match. */
import type { Change, Scope } from "../port.ts";
import { ALL_TENANTS } from "../port.ts";
import type { Watcher } from "./watcher.ts";

const ANY = "*";

const keyOf = (tenant: number | string, namespace: string, name: string, field: string): string =>
  `${tenant}\0${namespace}\0${name}\0${field}`;

/** Names and namespaces never begin with "=", so a value cannot be taken for ANY. */
const exactly = (text: string | undefined): string => (text === undefined ? ANY : `=${text}`);
const fieldText = (field: { name: string; value: string } | undefined): string =>
  field ? `${field.name}=${field.value}` : ANY;

const scopeKey = (scope: Scope): string =>
  keyOf(
    scope.tenant === ALL_TENANTS ? ANY : scope.tenant,
    exactly(scope.namespace),
    exactly(scope.name),
    fieldText(scope.field),
  );

export class Dispatch {
  readonly #watchers = new Map<string, Set<Watcher>>();
  /** Fields that some watcher asks for, and how many do. */
  readonly #fields = new Map<string, number>();

  add(watcher: Watcher): void {
    const key = scopeKey(watcher.scope);
    const set = this.#watchers.get(key) ?? new Set();
    this.#watchers.set(key, set.add(watcher));
    this.#count(watcher, 1);
  }

  delete(watcher: Watcher): void {
    const key = scopeKey(watcher.scope);
    const set = this.#watchers.get(key);
    if (!set?.delete(watcher)) return;
    if (set.size === 0) this.#watchers.delete(key);
    this.#count(watcher, -1);
  }

  #count({ scope }: Watcher, by: number): void {
    if (!scope.field) return;
    const count = (this.#fields.get(scope.field.name) ?? 0) + by;
    if (count > 0) this.#fields.set(scope.field.name, count);
    else this.#fields.delete(scope.field.name);
  }

  send(change: Change): void {
    if (this.#watchers.size === 0) return;
    const { tenant, namespace, name } = change.object.key;
    for (const field of this.#fieldTexts(change))
      for (const t of [tenant, ANY])
        for (const ns of [`=${namespace}`, ANY])
          for (const n of [`=${name}`, ANY])
            for (const watcher of this.#watchers.get(keyOf(t, ns, n, field)) ?? []) watcher.change(change);
  }

  #fieldTexts(change: Change): Set<string> {
    const texts = new Set([ANY]);
    for (const field of this.#fields.keys())
      for (const value of [change.object.fields[field], change.previous?.fields[field]])
        if (value !== undefined) texts.add(fieldText({ name: field, value }));
    return texts;
  }

  *all(): Generator<Watcher> {
    for (const set of this.#watchers.values()) yield* set;
  }
}
