import assert from "node:assert/strict";
import { cpSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, test } from "node:test";
import { newPlugin } from "../cli/new.ts";
import { buildPlugin, type Language } from "./build.ts";

const scratch = mkdtempSync(join(tmpdir(), "capstan-build-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

const installed = (program: string): boolean =>
  (process.env["PATH"] ?? "").split(delimiter).some((place) => place !== "" && existsSync(join(place, program)));
const TOOLS: Record<Language, string[]> = { ts: [], go: ["go"], c: ["clang", "wasm-ld"] };

for (const language of ["ts", "go", "c"] as const) {
  const lacking = TOOLS[language].filter((program) => !installed(program));
  const skip = lacking.length > 0 ? `there is no ${lacking.join(", ")}` : false;
  test(`the same source in ${language} gives the same bytes, wherever it lies`, { skip }, async () => {
    const first = join(scratch, language);
    const second = join(scratch, `elsewhere/and deeper/${language}`);
    newPlugin(first, "twice", "admission", language);
    cpSync(first, second, { recursive: true, verbatimSymlinks: true });
    const one = await buildPlugin(first, join(scratch, `out-${language}-1`));
    const other = await buildPlugin(second, join(scratch, `out-${language}-2`));
    assert.equal(one.digest, other.digest);
    assert.ok(one.built && other.built);
    assert.ok(!readFileSync(one.path).includes(scratch), "no path of this machine is in it");
    assert.equal((await buildPlugin(first, join(scratch, `out-${language}-1`))).built, false);
  });
}

test("a folder without a source, and a source with an error, are told", async () => {
  const dir = join(scratch, "broken");
  newPlugin(dir, "broken", "admission", "ts");
  writeFileSync(join(dir, "plugin.ts"), "export const admission = {;");
  await assert.rejects(buildPlugin(dir, join(scratch, "out")), /plugin\.ts:1:\d+: ERROR/);
  rmSync(join(dir, "plugin.ts"));
  await assert.rejects(buildPlugin(dir, join(scratch, "out")), /has no plugin.ts, go.mod or plugin.c/);
  mkdirSync(join(scratch, "empty"));
  await assert.rejects(buildPlugin(join(scratch, "empty"), join(scratch, "out")), /capstan\.plugin\.json/);
});
