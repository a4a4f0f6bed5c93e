import assert from "node:assert/strict";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { delimiter, join } from "node:path";
import { after, describe, test } from "node:test";
import { addonReady } from "../engine/addon.ts";
import { createEngine } from "../engine/index.ts";
import { CONTRACT_PREFIX } from "../engine/port.ts";
import type { Language } from "../plugin/build.ts";
import { WORLDS } from "../plugin/manifest.ts";
import { benchPlugin } from "./bench.ts";
import { newPlugin, worldsOf } from "./new.ts";
import { outDirOf, testPlugin } from "./test.ts";

const scratch = mkdtempSync(join(tmpdir(), "capstan-templates-"));
after(() => rmSync(scratch, { recursive: true, force: true }));
const engine = createEngine(addonReady() ? "wasmtime" : "jco", {
  cacheDir: join(scratch, "cache"),
  importPrefixes: [CONTRACT_PREFIX],
});

const installed = (program: string): boolean =>
  (process.env["PATH"] ?? "").split(delimiter).some((place) => place !== "" && existsSync(join(place, program)));
const lacks = (language: Language): string | false => {
  if (language === "go" && !installed("go")) return "there is no Go toolchain";
  if (language === "c" && !(installed("clang") && installed("wasm-ld"))) return "there is no clang with wasm-ld";
  return false;
};
/** Of what the toolchains make; each a little above what it is. */
const BYTES_MAX = { go: 4_000_000, c: 60_000 };

test("every world has a template in TypeScript", () => {
  assert.deepEqual(worldsOf("ts"), [...WORLDS]);
});

// Those in TypeScript are built and tested by the guides (sdk/guides).
for (const language of ["go", "c"] as const) {
  describe(`templates in ${language}`, { skip: lacks(language) }, () => {
    for (const world of worldsOf(language)) {
      test(`${world} builds and passes its own tests as it is`, async () => {
        const dir = join(scratch, language, world);
        newPlugin(dir, `my-${world}`, world, language);
        const { built, results } = await testPlugin(dir, { engine, outDir: outDirOf(dir) });
        assert.ok(results.length > 0);
        for (const { name, wrong } of results) assert.equal(wrong, undefined, `${name}: ${wrong}`);
        assert.ok(built.bytes < BYTES_MAX[language], `${built.bytes} bytes`);
        assert.ok(!readFileSync(join(dir, "capstan.plugin.json"), "utf8").includes("NAME"));
        // Enough for several rounds of a garbage collector, which looks at clocks when it likes.
        const { measured } = await benchPlugin(dir, { engine, outDir: outDirOf(dir), calls: 3000 });
        for (const { case: name, memoryBytes } of measured)
          assert.ok(memoryBytes < 24 * 1024 * 1024, `${name} has ${memoryBytes} bytes`);
      });
    }
  });
}

test("a guest on StarlingMonkey passes the same tests", async () => {
  const dir = join(scratch, "starlingmonkey");
  newPlugin(dir, "my-admission", "admission", "ts");
  const { built, results } = await testPlugin(dir, {
    engine,
    outDir: outDirOf(dir),
    build: { interpreter: "starlingmonkey" },
  });
  assert.ok(results.length > 0);
  for (const { name, wrong } of results) assert.equal(wrong, undefined, `${name}: ${wrong}`);
  assert.ok(built.bytes > 8_000_000, "it is the other interpreter");
});
