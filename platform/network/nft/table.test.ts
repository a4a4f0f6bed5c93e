import assert from "node:assert/strict";
import { test } from "node:test";
import type { RunProgram } from "../host/program.ts";
import { createNftTable } from "./table.ts";

/** nft that writes down its inputs, and refuses those with the word "bad" in them. */
function nft() {
  const inputs: string[] = [];
  const run: RunProgram = async (_program, _args, { input = "" } = {}) => {
    inputs.push(input);
    return { code: input.includes("bad") ? 1 : 0, stdout: "", stderr: "line 1: bad" };
  };
  return { inputs, run };
}

test("changes of several tables at one moment are one transaction", async () => {
  const { inputs, run } = nft();
  const [one, two] = [createNftTable("ip a", run), createNftTable("bridge b", run)];
  await Promise.all([one.transact("add a\n"), two.transact("add b\n")]);
  await one.transact("add c\n");
  assert.deepEqual(inputs, ["add a\n\nadd b\n", "add c\n"]);
});

test("when they are refused together, only the wrong one fails", async () => {
  const { inputs, run } = nft();
  const [one, two] = [createNftTable("ip a", run), createNftTable("bridge b", run)];
  const [good, bad] = await Promise.allSettled([one.transact("add a\n"), two.transact("bad\n")]);
  assert.equal(good.status, "fulfilled");
  assert.match(String(bad.status === "rejected" && bad.reason), /rules of table bridge b: line 1: bad/);
  assert.equal(inputs.length, 3);
});

test("what is long goes alone", async () => {
  const { inputs, run } = nft();
  const [one, two] = [createNftTable("ip a", run), createNftTable("bridge b", run)];
  await Promise.all([one.transact("x".repeat(100_000)), two.transact("add b\n")]);
  assert.equal(inputs.length, 2);
});
