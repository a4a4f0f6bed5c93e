import assert from "node:assert/strict";
import { appendFile, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { type LogOptions, readLog } from "./logs.ts";
import { logText } from "./termination-message.ts";

const all: LogOptions = { follow: false, timestamps: false, stream: "All" };
const line = (second: number, stream: string, tag: string, text: string) =>
  `2026-01-01T00:00:0${second}.000000000Z ${stream} ${tag} ${text}\n`;

describe("a container's log", () => {
  let directory: string;
  let file: string;
  before(async () => {
    directory = await mkdtemp(join(tmpdir(), "log-"));
    file = join(directory, "0.log");
    await writeFile(
      file,
      line(1, "stdout", "F", "one") +
        line(2, "stderr", "F", "two") +
        line(3, "stdout", "P", "thr") +
        line(3, "stdout", "F", "ee"),
    );
  });
  after(async () => await rm(directory, { recursive: true, force: true }));
  const read = async (options: Partial<LogOptions>, running = () => false, signal = new AbortController().signal) => {
    let text = "";
    for await (const chunk of readLog(file, { ...all, ...options }, running, signal)) text += chunk.toString();
    return text;
  };

  it("is joined where the runtime cut a line", async () => assert.equal(await read({}), "one\ntwo\nthree\n"));
  it("is cut to the last lines, a time, a stream or a number of bytes", async () => {
    assert.equal(await read({ tailLines: 2 }), "three\n");
    assert.equal(await read({ tailLines: 0 }), "");
    assert.equal(await read({ sinceMs: Date.parse("2026-01-01T00:00:02Z") }), "two\nthree\n");
    assert.equal(await read({ stream: "Stderr" }), "two\n");
    assert.equal(await read({ limitBytes: 6 }), "one\ntw");
  });
  it("has times where they are asked for", async () =>
    assert.equal(
      await read({ timestamps: true, tailLines: 4, limitBytes: 35 }),
      "2026-01-01T00:00:01.000000000Z one\n",
    ));

  it("is followed until its container has ended", async () => {
    let running = true;
    const reading = read({ follow: true, tailLines: 0 }, () => running);
    await appendFile(file, line(4, "stdout", "F", "four"));
    running = false;
    await appendFile(file, line(5, "stdout", "F", "five"));
    assert.match(await reading, /^(four\nfive\n|five\n|)$/);
  });
});

describe("a termination message out of a container's log", () => {
  it("ends in a newline only where the container wrote one", () => {
    assert.equal(logText(line(1, "stdout", "F", "one") + line(2, "stderr", "P", "DONE")), "one\nDONE");
    assert.equal(logText(line(1, "stdout", "P", "half ") + line(1, "stdout", "F", "whole")), "half whole\n");
  });
});
