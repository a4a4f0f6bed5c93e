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

class RepeatedObject implements StoredObject {
  readonly key: Key;
  readonly uid: string;
  readonly revision: Revision;
  readonly labels: StoredObject["labels"];
  readonly fields: StoredObject["fields"];
  readonly #form: Form;
  readonly #times: readonly string[];

  constructor(key: Key, object: StoredObject, fields: StoredObject["fields"], form: Form, times: readonly string[]) {
    this.key = key;
    this.uid = object.uid;
    this.revision = object.revision;
    this.labels = object.labels;
    this.fields = fields;
    this.#form = form;
    this.#times = times;
  }

  get document(): string {
    const text = this.#form.reduce((before, part, i) => `${before}${this.#times[i - 1] ?? ""}${part}`);
    return text.replaceAll("\0", this.uid);
  }
}

export class Repeated {
  readonly #forms = new Map<string, Form>();
  readonly #times = new Map<string, readonly string[]>();
  readonly #fields = new Map<string, StoredObject["fields"]>();
  readonly #names = new Map<string, string>();

  /** The same object in less memory; itself where a document cannot be put together again, and an encrypted one. */
  share(object: StoredObject): StoredObject {
    const { uid, document, fields, key } = object;
    if (object.sealedBy !== undefined || uid === "" || document.includes("\0")) return object;
    const text = document.replaceAll(uid, "\0");
    const times = text.match(TIME) ?? [];
    const form = text.split(TIME);
    return new RepeatedObject(
      { ...key, name: one(this.#names, key.name, () => key.name) },
      object,
      one(this.#fields, JSON.stringify(fields), () => fields),
      one(this.#forms, form.join("\u0001"), () => form.map(flat)),
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
