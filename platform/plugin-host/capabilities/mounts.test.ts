import assert from "node:assert/strict";
import { execFileSync } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  rmSync,
  symlinkSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it, type TestContext } from "node:test";
import { HostFailure } from "#sdk/engine/port.ts";
import { createMounts, type MountRequest } from "./mounts.ts";

const scratch = mkdtempSync(join(tmpdir(), "cmount-"));
after(() => rmSync(scratch, { recursive: true, force: true }));
const tree = join(scratch, "tree");
const elsewhere = join(scratch, "elsewhere");
for (const path of [tree, elsewhere]) mkdirSync(path);
symlinkSync(elsewhere, join(tree, "out"));

const MS = 10_000;
const refuses = (reason: string) => (error: unknown) =>
  error instanceof HostFailure && (error.payload as { reason: string }).reason === reason;
const mounts = (devices: string[] = []) => createMounts({ trees: { t: tree }, devices });
const request = (more: Partial<MountRequest>): MountRequest => ({
  source: "",
  tree: "t",
  path: "p",
  fsType: "tmpfs",
  options: [],
  ...more,
});

describe("mount: what is not granted is denied", () => {
  const table: [why: string, more: Partial<MountRequest>][] = [
    ["another directory", { tree: "other" }],
    ["a path with dots", { path: "../elsewhere" }],
    ["a path that leads out by a link", { path: "out/in" }],
    ["the tree itself", { path: "." }],
    ["a source that is not in a tree", { fsType: "bind", source: elsewhere }],
    ["a source that leads out of its tree", { fsType: "bind", source: join(tree, "out") }],
    ["a device that is not named", { fsType: "ext4", source: "/dev/null" }],
    ["a device by dots", { fsType: "ext4", source: "/dev/granted/../null" }],
    ["a device that is none", { fsType: "ext4", source: "/dev/granted-none" }],
    ["another type", { fsType: "proc" }],
    ["an option that gives more", { options: ["suid"] }],
    ["options in one", { options: ["ro,dev"] }],
  ];
  for (const [why, more] of table)
    it(why, () =>
      assert.rejects(mounts(["/dev/granted"]).mount(request(more), MS), (error: unknown) =>
        why === "a device that is none" ? refuses("NotFound")(error) : refuses("Denied")(error),
      ),
    );

  it("a device that is not named is not formatted, and mkfs is told nothing of other files", async () => {
    await assert.rejects(mounts().format("/dev/null", "ext4", [], MS), refuses("Denied"));
    await assert.rejects(mounts(["/dev/"]).format("/dev/null", "ext4", ["-d", "/etc"], MS), refuses("Denied"));
    await assert.rejects(mounts(["/dev/"]).format("/dev/null", "ext4", ["-L", "/etc"], MS), refuses("Denied"));
    await assert.rejects(mounts(["/dev/"]).format("/dev/null", "ext4", [], MS), refuses("Denied"));
  });
});

const mayMount = (): string | false => {
  if (process.getuid?.() !== 0) return "needs root";
  const at = mkdtempSync(join(scratch, "probe"));
  try {
    execFileSync("mount", ["-t", "tmpfs", "tmpfs", at], { stdio: "ignore" });
    execFileSync("umount", [at]);
    return false;
  } catch {
    return "needs the right to mount";
  }
};

/** A block device over a file; undefined where this machine has none to give. */
function loopDevice(t: TestContext, file: string): string | undefined {
  try {
    const device = execFileSync("losetup", ["--find", "--show", file], { encoding: "utf8", stdio: "pipe" }).trim();
    t.after(() => void execFileSync("losetup", ["-d", device]));
    return device;
  } catch {
    return undefined;
  }
}

describe("mount: on a machine", { skip: mayMount() }, () => {
  const options = (path: string) =>
    readFileSync("/proc/self/mountinfo", "utf8")
      .split("\n")
      .find((line) => line.split(" ")[4] === path)
      ?.split(" ")[5];

  it("mounting and unmounting may be repeated; another source is a conflict", async () => {
    const one = mounts();
    const at = join(tree, "mem");
    const memory = request({ path: "mem", options: ["size=1m", "noexec"] });
    for (let i = 0; i < 2; i++) await one.mount(memory, MS);
    assert.match(options(at) ?? "", /nosuid,nodev,noexec/);
    const [total] = await one.usage("t", "mem");
    assert.equal(total, 1024 * 1024);
    mkdirSync(join(tree, "source"));
    writeFileSync(join(tree, "source/file"), "here");
    const bound = request({ path: "mem", fsType: "bind", source: join(tree, "source") });
    await assert.rejects(one.mount(bound, MS), refuses("Conflict"));
    for (let i = 0; i < 2; i++) await one.unmount("t", "mem", MS);
    assert.equal(existsSync(at), false);
    const readOnly = { ...bound, options: ["ro"] };
    for (let i = 0; i < 2; i++) await one.mount(readOnly, MS);
    assert.equal(readFileSync(join(at, "file"), "utf8"), "here");
    assert.throws(() => writeFileSync(join(at, "file"), "more"), /EROFS/);
    await one.unmount("t", "mem", MS);
    assert.equal(readFileSync(join(tree, "source/file"), "utf8"), "here");
  });

  it("a device is formatted once, mounted, and grows", async (t) => {
    const file = join(scratch, "disk");
    writeFileSync(file, "");
    truncateSync(file, 16 << 20);
    const device = loopDevice(t, file);
    if (device === undefined) return t.skip("needs loop devices");
    const one = mounts([device]);
    for (let i = 0; i < 2; i++) await one.format(device, "ext4", ["-L", "data"], MS);
    await assert.rejects(one.format(device, "ext3", [], MS), refuses("Conflict"));
    await one.mount(request({ path: "disk", fsType: "ext4", source: device }), MS);
    t.after(() => one.unmount("t", "disk", MS));
    const [before = 0] = await one.usage("t", "disk");
    truncateSync(file, 32 << 20);
    execFileSync("losetup", ["-c", device]);
    const failure = await one.grow("t", "disk", MS).then(
      () => undefined,
      (error: Error) => error.message,
    );
    // Some sandboxes let nobody grow a file system that is mounted.
    if (failure?.includes("Permission denied")) return t.skip(failure);
    assert.equal(failure, undefined);
    const [grown = 0] = await one.usage("t", "disk");
    assert.ok(grown > before * 1.5, `${grown} after ${before}`);
    await one.unmount("t", "disk", MS);
  });
});
