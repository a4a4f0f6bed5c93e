/** What the cache holds of the rows that a write concerns (Seen): with it the committer may not have to ask the database. */
import type { Key, Seen, StoredObject, Write } from "../port.ts";

const terminating = new WeakMap<StoredObject, boolean>();

/** Read once of each version: the same few namespaces guard most writes. */
function isTerminating(object: StoredObject): boolean {
  let found = terminating.get(object);
  if (found === undefined) {
    const { metadata } = JSON.parse(object.document) as { metadata: { deletionTimestamp?: string } };
    found = metadata.deletionTimestamp !== undefined;
    terminating.set(object, found);
  }
  return found;
}

export function rowsOf({ operations, guards = [] }: Write, held: (key: Key) => StoredObject | undefined): Seen["rows"] {
  const row = (key: Key, asks: boolean) => {
    const object = held(key);
    return object && { uid: object.uid, revision: object.revision, terminating: asks && isTerminating(object) };
  };
  return [
    ...operations.map(({ key }) => row(key, false)),
    ...guards.map(({ key, notTerminating }) => row(key, notTerminating === true)),
  ];
}
