import assert from "node:assert/strict";
import { test } from "node:test";
import { normalizedName, score, wantedOf } from "./images.ts";

const MIB = 1024 * 1024;

test("a name without a tag means latest, also behind a port", () => {
  assert.deepEqual(["busybox", "busybox:1", "registry:5000/a/b", "registry:5000/a/b:2"].map(normalizedName), [
    "busybox:latest",
    "busybox:1",
    "registry:5000/a/b:latest",
    "registry:5000/a/b:2",
  ]);
});

test("large images that are there score, less where few nodes have them", () => {
  const wanted = wantedOf({ containers: [{ name: "c", image: "big" }] });
  const images = new Map([["big:latest", 1000 * MIB]]);
  assert.equal(
    score(wanted, images, () => 1),
    100,
  );
  assert.equal(
    score(wanted, images, () => 0.5),
    48,
  );
  assert.equal(
    score(wanted, new Map([["big:latest", 10 * MIB]]), () => 1),
    0,
  );
  assert.equal(
    score(wanted, new Map(), () => 1),
    0,
  );
});
