/**
 * Objects that each tenant has anew (default roles, flow schemas …) differ in uid, times and little else: seventy roles of ten thousand
 * tenants are seventy texts. What differs is kept by each object, the rest once (S10). A document is put together when it
 * is read; labels, fields and names that are equal are one in memory.
 */
import type { Key, Revision, StoredObject } from "../port.ts";

/** Beyond this many different texts a table is begun anew; objects keep what they have. */
const KNOWN_MAX = 20_000;
const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g;

/** The parts between the times; "\0" stands for the uid. */
type Form = readonly string[];

/** What is the same in every tenant. */
interface Shape extends Omit<Key, "tenant"> {
  labels: StoredObject["labels"];
  fields: StoredObject["fields"];
  form: Form;
}

/** There are millions: it has nothing of its own that another has as well. */
class RepeatedObject implements StoredObject {
  readonly uid: string;
  readonly revision: Revision;
  readonly #tenant: Key["tenant"];
  readonly #shape: Shape;
  readonly #times: readonly string[];

  constructor({ key, uid, revision }: StoredObject, shape: Shape, times: readonly string[]) {
    this.uid = uid;
    this.revision = revision;
    this.#tenant = key.tenant;
    this.#shape = shape;
    this.#times = times;
  }

  get key(): Key {
    const { resource, namespace, name } = this.#shape;
    return { tenant: this.#tenant, resource, namespace, name };
  }

  get labels(): StoredObject["labels"] {
    return this.#shape.labels;
  }

  get fields(): StoredObject["fields"] {
    return this.#shape.fields;
  }

  get document(): string {
    const text = this.#shape.form.reduce((before, part, i) => `${before}${this.#times[i - 1] ?? ""}${part}`);
    return text.replaceAll("\0", this.uid);
  }
}

export class Repeated {
  readonly #shapes = new Map<string, Shape>();
  readonly #times = new Map<string, readonly string[]>();

  /** The same object in less memory; itself where a document cannot be put together again, and an encrypted one. */
  share(object: StoredObject): StoredObject {
    const { uid, document, labels, fields, key } = object;
    if (object.sealedBy !== undefined || uid === "" || document.includes("\0")) return object;
    const text = document.replaceAll(uid, "\0");
    const times = text.match(TIME) ?? [];
    const { resource, namespace, name } = key;
    const form = text.split(TIME);
    const all = JSON.stringify([resource, namespace, name, labels, fields, form]);
    const shape = one(this.#shapes, all, () => ({ resource, namespace, name, labels, fields, form: form.map(flat) }));
    return new RepeatedObject(
      object,
      shape,
      one(this.#times, times.join(" "), () => times.map(flat)),
    );
  }
}

function one<T>(known: Map<string, T>, text: string, make: () => T): T {
  const found = known.get(text);
  if (found !== undefined) return found;
  if (known.size >= KNOWN_MAX) known.clear();
  const made = make();
  known.set(text, made);
  return made;
}

/** A piece of a text would keep the whole text in memory. */
const flat = (text: string): string => Buffer.from(text).toString();
