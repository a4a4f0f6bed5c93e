import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdirSync, readdirSync, rmdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { it } from "node:test";
import type { Pod } from "#sdk/api/generated/types.ts";
import { createCgroups } from "./cgroups.ts";

const ROOT = "/sys/fs/cgroup";
const unified = existsSync(join(ROOT, "cgroup.controllers"));
const skip = process.getuid?.() === 0 && existsSync(ROOT) ? false : "needs root and cgroups";

it("what a dead shim left in a pod's cgroup goes with it", { skip }, async () => {
  const name = `capstan-test-${process.pid}`;
  const cgroups = createCgroups(name);
  const pod: Pod = {
    metadata: { name: "p", uid: "11111111-2222-3333-4444-555555555555" },
    spec: { containers: [{ name: "main" }] },
  };
  const top = join(ROOT, unified ? "" : "memory");
  const path = join(top, cgroups.ensure(pod));
  const lost = spawn("sleep", ["1000"]);
  const ended = once(lost, "exit");
  mkdirSync(join(path, "container"));
  writeFileSync(join(path, "container", "cgroup.procs"), String(lost.pid));
  cgroups.remove(pod);
  await ended;
  assert.equal(cgroups.remove(pod), true);
  assert.equal(existsSync(path), false);
  for (const hierarchy of unified ? [""] : readdirSync(ROOT))
    for (const directory of [join(ROOT, hierarchy, name, "besteffort"), join(ROOT, hierarchy, name)])
      if (existsSync(directory)) rmdirSync(directory);
});
