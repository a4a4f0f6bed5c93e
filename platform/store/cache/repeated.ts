/**
 * Objects that each tenant has anew (default roles, flow schemas …) differ in uid, times and little else: seventy roles of ten thousand
 * tenants are seventy texts. What differs is kept by each object, the rest once (S10). A document is put together when it
 * is read; labels, fields and names that are equal are one in memory.
 */
import type { Key, Revision, StoredObject } from "../port.ts";

/** Beyond this many different texts a table is begun anew; objects keep what they have. */
const KNOWN_MAX = 20_000;
/** RFC 9562, as randomUUID() writes it. */
const UUID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
const TIME = /\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ/g;

/** The parts between the times; "\0" stands for the uid. */
type Form = readonly string[];

/** What is the same in every tenant. */
interface Shape extends Omit<Key, "tenant"> {
  labels: StoredObject["labels"];
  fields: StoredObject["fields"];
  form: Form;
}

const bits = Buffer.alloc(16);

/** There are millions: it has nothing of its own that another has as well, and of its uid the bits, which take half of what the text takes. */
class RepeatedObject implements StoredObject {
  readonly revision: Revision;
  readonly #uid0: number;
  readonly #uid4: number;
  readonly #uid8: number;
  readonly #uid12: number;
  readonly #tenant: Key["tenant"];
  readonly #shape: Shape;
  readonly #times: readonly string[];

  constructor({ key, uid, revision }: StoredObject, shape: Shape, times: readonly string[]) {
    bits.write(uid.replaceAll("-", ""), "hex");
    this.#uid0 = bits.readInt32BE(0);
    this.#uid4 = bits.readInt32BE(4);
    this.#uid8 = bits.readInt32BE(8);
    this.#uid12 = bits.readInt32BE(12);
    this.revision = revision;
    this.#tenant = key.tenant;
    this.#shape = shape;
    this.#times = times;
  }

  get uid(): string {
    bits.writeInt32BE(this.#uid0, 0);
    bits.writeInt32BE(this.#uid4, 4);
    bits.writeInt32BE(this.#uid8, 8);
    bits.writeInt32BE(this.#uid12, 12);
    const hex = bits.toString("hex");
    return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
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
    if (object.sealedBy !== undefined || !UUID.test(uid) || document.includes("\0")) return object;
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
