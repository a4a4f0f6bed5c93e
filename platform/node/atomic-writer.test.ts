import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, readlink, rm, stat } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { writeVolume } from "./atomic-writer.ts";

const files = (all: Record<string, string>) =>
  new Map(Object.entries(all).map(([path, text]) => [path, { data: Buffer.from(text), mode: 0o640 }]));

describe("a volume of files", () => {
  let directory: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "volume-"));
  });
  after(async () => await rm(directory, { recursive: true, force: true }));

  it("shows its files through one link, and replaces all of them at once", async () => {
    writeVolume(directory, files({ a: "1", "dir/b": "2" }), undefined);
    const before = await readlink(join(directory, "..data"));
    assert.equal(await readlink(join(directory, "a")), "..data/a");
    assert.equal(await readFile(join(directory, "dir/b"), "utf8"), "2");
    assert.equal((await stat(join(directory, "a"))).mode & 0o777, 0o640);
    writeVolume(directory, files({ a: "3", c: "4" }), undefined);
    assert.notEqual(await readlink(join(directory, "..data")), before);
    assert.equal(await readFile(join(directory, "a"), "utf8"), "3");
    const visible = (await readdir(directory)).filter((name) => !name.startsWith(".."));
    assert.deepEqual(visible.sort(), ["a", "c"]);
    assert.equal((await readdir(directory)).length, 4);
  });

  it("touches nothing when nothing has changed", async () => {
    const before = await readlink(join(directory, "..data"));
    writeVolume(directory, files({ a: "3", c: "4" }), undefined);
    assert.equal(await readlink(join(directory, "..data")), before);
  });

  it("refuses a path that leads out", async () => {
    assert.throws(() => writeVolume(directory, files({ "../x": "" }), undefined), /not allowed/);
    assert.throws(() => writeVolume(directory, files({ "/etc/x": "" }), undefined), /not allowed/);
  });
});
