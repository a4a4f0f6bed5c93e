/** Pages of lists: of what is, and of what was at an exact revision (S4). Nothing here waits; a page is of one moment. */
import type { Change, ListRequest, ListResult, Revision, Scope, StoredObject } from "../port.ts";
import { comparePlaces, hasField, inScope, type Place, placeText, type Shelf } from "./shelf.ts";

export function listNow(shelf: Shelf | undefined, request: ListRequest, revision: Revision): ListResult {
  if (!shelf) return { objects: [], revision, more: false, remaining: 0 };
  const { scope, after, matcher } = request;
  const page = takePage(shelf.scan(scope, after), request);
  const last = page.objects.at(-1);
  if (!page.more) return { ...page, revision, remaining: 0 };
  if (matcher || scope.field || scope.name !== undefined || !last) return { ...page, revision };
  return { ...page, revision, remaining: shelf.count(scope, last.key) };
}

type Differences = ReadonlyMap<string, { change: Change; was: StoredObject | undefined }>;

/** The present, with what differed put back. */
export function listAt(
  shelf: Shelf | undefined,
  differences: Differences,
  request: ListRequest,
  revision: Revision,
): ListResult {
  const { scope, after, matcher } = request;
  const restored: StoredObject[] = [];
  for (const { was } of differences.values())
    if (was && inScope(scope, was.key) && hasField(scope, was) && (!after || comparePlaces(was.key, after) > 0))
      restored.push(was);
  restored.sort((a, b) => comparePlaces(a.key, b.key));
  const page = takePage(merged(shelf?.scan(scope, after) ?? [], restored, differences), request);
  const last = page.objects.at(-1);
  if (!page.more) return { ...page, revision, remaining: 0 };
  if (matcher || scope.field || scope.name !== undefined || !last) return { ...page, revision };
  return { ...page, revision, remaining: countBeyond(shelf, differences, scope, last.key) };
}

/** How many there were behind `last`: those of now, corrected by what differed. */
function countBeyond(shelf: Shelf | undefined, differences: Differences, scope: Scope, last: Place): number {
  let count = shelf?.count(scope, last) ?? 0;
  for (const { change, was } of differences.values()) {
    const { key } = change.object;
    if (!inScope(scope, key) || comparePlaces(key, last) <= 0) continue;
    if (shelf?.get(key)) count -= 1;
    if (was) count += 1;
  }
  return count;
}

function* merged(
  present: Iterable<StoredObject>,
  restored: readonly StoredObject[],
  differences: Differences,
): Generator<StoredObject> {
  let at = 0;
  for (const object of present) {
    if (differences.has(placeText(object.key))) continue;
    while (at < restored.length && comparePlaces(restored[at]!.key, object.key) < 0) yield restored[at++]!;
    yield object;
  }
  while (at < restored.length) yield restored[at++]!;
}

function takePage(
  objects: Iterable<StoredObject>,
  { matcher, limit }: ListRequest,
): Pick<ListResult, "objects" | "more"> {
  const page: StoredObject[] = [];
  for (const object of objects) {
    if (matcher && !matcher(object)) continue;
    if (limit !== undefined && page.length >= limit) return { objects: page, more: true };
    page.push(object);
  }
  return { objects: page, more: false };
}
