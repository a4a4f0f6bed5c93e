import assert from "node:assert/strict";
import { it } from "node:test";
import type { NodeContext } from "./context.ts";
import { createImageCollection } from "./image-collection.ts";

const GIB = 2 ** 30;

function world(available: () => number) {
  let now = 0;
  const events: string[] = [];
  const image = (name: string, more = {}) => ({
    id: name,
    repoTags: [`${name}:1`],
    repoDigests: [`${name}@sha256:1`],
    size: String(GIB),
    ...more,
  });
  let images = [
    image("used"),
    image("old"),
    image("recent"),
    image("pinned", { pinned: true }),
    image("archive", { repoDigests: [] }),
  ];
  let containers = [{ image: { image: "used" } }, { image: { image: "recent" } }];
  const context = {
    clock: { now: () => now },
    recorder: { event: (_: unknown, __: string, reason: string) => void events.push(reason) },
    log: { info: () => undefined, warn: () => undefined },
    runtime: {
      listImages: async () => images,
      listContainers: async () => containers,
      async removeImage(id: string) {
        images = images.filter((one) => one.id !== id);
      },
    },
  } as unknown as NodeContext;
  const collection = createImageCollection({
    context,
    node: { metadata: { name: "n1" } },
    disk: async () => ({ capacityBytes: 50 * GIB, availableBytes: available() }),
  });
  return {
    collection,
    events,
    left: () => images.map(({ id }) => id),
    pass: (ms: number) => (now += ms),
    end() {
      containers = containers.slice(0, 1);
    },
  };
}

it("images go when the disk is full, the longest unused first, and only as many as it takes", async () => {
  let available = 20 * GIB;
  const { collection, left, pass, end, events } = world(() => available);
  await collection.collect();
  pass(300_000);
  await collection.collect();
  end();
  pass(300_000);
  assert.equal(left().length, 5);
  available = 7 * GIB;
  await collection.collect();
  assert.deepEqual(left(), ["used", "pinned", "archive"]);
  assert.deepEqual(events, ["FreeDiskSpaceFailed"]);
});

it("an image that was pulled just now stays", async () => {
  const { collection, left, pass, end } = world(() => 0);
  end();
  await collection.collect();
  assert.equal(left().length, 5);
  pass(121_000);
  await collection.removeUnused();
  assert.deepEqual(left(), ["used", "pinned", "archive"]);
});
