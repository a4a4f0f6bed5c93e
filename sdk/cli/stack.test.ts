import assert from "node:assert/strict";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, test } from "node:test";
import { transformSync } from "esbuild";
import { mapStack } from "./stack.ts";

const scratch = mkdtempSync(join(tmpdir(), "capstan-stack-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

test("places in the bundle are shown as places in the author's file, in stacks and in logs", () => {
  const source = "const a: number = 1;\n\nexport function fails(): never {\n  throw new Error(String(a));\n}\n";
  const { code, map } = transformSync(source, {
    loader: "ts",
    minify: true,
    sourcemap: "external",
    sourcefile: "plugin.ts",
  });
  const path = join(scratch, "p.wasm.map");
  writeFileSync(path, map);
  const column = code.indexOf("new Error") + 1;
  const line = `    at fails (componentize-qjs:user.js:1:${column})`;
  assert.equal(mapStack(`it failed\n${line}`, path), "it failed\n    at fails (plugin.ts:4:9)");
  const logged = `2026-01-01T00:00:00.000Z ${line}`;
  assert.equal(mapStack(logged, path), "2026-01-01T00:00:00.000Z     at fails (plugin.ts:4:9)");
  assert.equal(mapStack(line, join(scratch, "none.map")), line);
  assert.equal(mapStack("look at 10:20:30", path), "look at 10:20:30");
});
