/**
 * The objects of one resource, in the order of keys (tenant, namespace, name), with an index for each field that was asked for.
 * It keeps what the store hands out (encoded document, labels, fields), never parsed objects.
 */
import type { Key, Scope, StoredObject, TenantId } from "../port.ts";
import { ALL_TENANTS } from "../port.ts";
import { SortedNames } from "./sorted-names.ts";

export type Place = Pick<Key, "tenant" | "namespace" | "name">;

export const placeText = (key: Place): string => `${key.tenant}\0${key.namespace}\0${key.name}`;

export function comparePlaces(a: Place, b: Place): number {
  if (a.tenant !== b.tenant) return a.tenant - b.tenant;
  if (a.namespace !== b.namespace) return a.namespace < b.namespace ? -1 : 1;
  return a.name < b.name ? -1 : a.name > b.name ? 1 : 0;
}

export function inScope(scope: Scope, key: Place): boolean {
  if (scope.tenant !== ALL_TENANTS && scope.tenant !== key.tenant) return false;
  if (scope.namespace !== undefined && scope.namespace !== key.namespace) return false;
  return scope.name === undefined || scope.name === key.name;
}

export const hasField = (scope: Scope, object: Pick<StoredObject, "fields">): boolean =>
  scope.field === undefined || object.fields[scope.field.name] === scope.field.value;

/** One namespace of one tenant; cluster-scoped objects are in the namespace "". */
class Folder {
  readonly objects = new Map<string, StoredObject>();
  readonly names = new SortedNames();

  put(object: StoredObject): StoredObject | undefined {
    const { name } = object.key;
    const previous = this.objects.get(name);
    this.objects.set(name, object);
    if (!previous) this.names.add(name);
    return previous;
  }

  remove(name: string): StoredObject | undefined {
    const previous = this.objects.get(name);
    if (!previous) return undefined;
    this.objects.delete(name);
    this.names.remove(name);
    return previous;
  }
}

export class Shelf {
  readonly #tenants = new Map<TenantId, Map<string, Folder>>();
  /** Of all tenants. */
  size = 0;
  /** field → value → place → object. */
  readonly #indexes: Map<string, Map<string, Map<string, StoredObject>>>;

  constructor(indexedFields: readonly string[]) {
    this.#indexes = new Map(indexedFields.map((field) => [field, new Map()]));
  }

  get(key: Place): StoredObject | undefined {
    return this.#tenants.get(key.tenant)?.get(key.namespace)?.objects.get(key.name);
  }

  /** Returns what was there before. */
  put(object: StoredObject): StoredObject | undefined {
    const { tenant, namespace } = object.key;
    let folders = this.#tenants.get(tenant);
    if (!folders) {
      folders = new Map();
      this.#tenants.set(tenant, folders);
    }
    let folder = folders.get(namespace);
    if (!folder) {
      folder = new Folder();
      folders.set(namespace, folder);
    }
    const previous = folder.put(object);
    if (previous) this.#unindex(previous);
    else this.size++;
    this.#index(object);
    return previous;
  }

  remove(key: Place): StoredObject | undefined {
    const folders = this.#tenants.get(key.tenant);
    const folder = folders?.get(key.namespace);
    const previous = folder?.remove(key.name);
    if (!previous) return undefined;
    this.size--;
    this.#unindex(previous);
    if (folder?.names.length === 0) folders?.delete(key.namespace);
    if (folders?.size === 0) this.#tenants.delete(key.tenant);
    return previous;
  }

  #index(object: StoredObject): void {
    for (const [field, values] of this.#indexes) {
      const value = object.fields[field];
      if (value === undefined) continue;
      let places = values.get(value);
      if (!places) {
        places = new Map();
        values.set(value, places);
      }
      places.set(placeText(object.key), object);
    }
  }

  #unindex(object: StoredObject): void {
    for (const [field, values] of this.#indexes) {
      const value = object.fields[field];
      const places = value === undefined ? undefined : values.get(value);
      places?.delete(placeText(object.key));
      if (places?.size === 0 && value !== undefined) values.delete(value);
    }
  }

  /** The objects of a scope after a place, in order. The shelf must not change while this runs: no await in the loop. */
  *scan(scope: Scope, after?: Place): Generator<StoredObject> {
    const index = scope.field && this.#indexes.get(scope.field.name);
    if (scope.field && index) {
      const found = [...(index.get(scope.field.value)?.values() ?? [])].filter((object) => inScope(scope, object.key));
      found.sort((a, b) => comparePlaces(a.key, b.key));
      for (const object of found) if (!after || comparePlaces(object.key, after) > 0) yield object;
      return;
    }
    for (const [tenant, namespace, folder] of this.#folders(scope)) {
      for (const name of after ? namesAfter(tenant, namespace, folder, after) : folder.names) {
        const object = folder.objects.get(name)!;
        if ((scope.name === undefined || scope.name === object.key.name) && hasField(scope, object)) yield object;
      }
    }
  }

  /** How many objects a scope without name and field has after a place. */
  count(scope: Scope, after?: Place): number {
    let sum = 0;
    for (const [tenant, namespace, { names }] of this.#folders(scope)) {
      const order = after ? compareFolders(tenant, namespace, after) : 1;
      sum += order > 0 ? names.length : order < 0 || !after ? 0 : names.countAfter(after.name);
    }
    return sum;
  }

  *#folders(scope: Scope): Generator<[TenantId, string, Folder]> {
    const tenants = scope.tenant === ALL_TENANTS ? [...this.#tenants.keys()].sort((a, b) => a - b) : [scope.tenant];
    for (const tenant of tenants) {
      const folders = this.#tenants.get(tenant);
      if (!folders) continue;
      const namespaces = scope.namespace === undefined ? [...folders.keys()].sort() : [scope.namespace];
      for (const namespace of namespaces) {
        const folder = folders.get(namespace);
        if (folder) yield [tenant, namespace, folder];
      }
    }
  }
}

/** Negative when all of a folder comes before a place, positive when all of it comes after, 0 when the place is in it. */
function compareFolders(tenant: TenantId, namespace: string, after: Place): number {
  if (tenant !== after.tenant) return tenant - after.tenant;
  return namespace < after.namespace ? -1 : namespace > after.namespace ? 1 : 0;
}

function namesAfter(tenant: TenantId, namespace: string, { names }: Folder, after: Place): Iterable<string> {
  const order = compareFolders(tenant, namespace, after);
  return order > 0 ? names : order < 0 ? [] : names.after(after.name);
}
