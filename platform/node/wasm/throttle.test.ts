import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { identityOf } from "./process.ts";
import { createThrottle } from "./throttle.ts";

const stateOf = (pid: number) => / ([A-Za-z]) /.exec(readFileSync(`/proc/${pid}/stat`, "utf8"))?.[1];

/** The test runner's own deadline ends it where it never holds. */
async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await new Promise((resolve) => setTimeout(resolve, 5));
}

test("a busy process stands still until its limit has earned it more, and runs freely when it is forgotten", {
  skip: process.platform !== "linux" && "reads /proc",
}, async () => {
  const child = spawn(process.execPath, ["-e", "for (;;);"], { stdio: "ignore" });
  const pid = child.pid ?? 0;
  const throttle = createThrottle(Date.now);
  try {
    const who = identityOf(pid);
    assert.ok(who);
    throttle.set("one", who, 0.05);
    await until(() => stateOf(pid) === "T");
    await until(() => stateOf(pid) !== "T");
    await until(() => stateOf(pid) === "T");
    throttle.forget("one");
    await until(() => stateOf(pid) === "R");
  } finally {
    throttle.close();
    child.kill("SIGKILL");
  }
});
