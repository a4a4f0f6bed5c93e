/** `capstan plugin dev` and what a failing guest says, against a platform without nodes. */
import assert from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, test } from "node:test";
import { newPlugin } from "#sdk/cli/new.ts";
import { type Instance, skipWithoutKubectl, startInstance, eventually as within } from "../support/instance.ts";

/** For a machine that has much else to do. */
const SLOW_MS = 300_000;
const eventually = (what: string, probe: () => Promise<boolean>) => within(what, probe, SLOW_MS);

const root = resolve(import.meta.dirname, "../..");

describe("capstan plugin dev", { skip: skipWithoutKubectl }, () => {
  const scratch = mkdtempSync(join(tmpdir(), "capstan-dev-"));
  const dir = join(scratch, "dev-check");
  let capstan: Instance;
  let dev: ChildProcess | undefined;
  let said = "";

  before(async () => {
    capstan = await startInstance({ nodes: 0 });
    newPlugin(dir, "dev-check", "admission", "ts");
    const args = [join(root, "platform/main/cli.ts"), "plugin", "dev", dir, "--data-dir", capstan.dataDir];
    dev = spawn(process.execPath, args, { stdio: ["ignore", "pipe", "inherit"] });
    dev.stdout?.setEncoding("utf8").on("data", (text: string) => {
      said += text;
    });
  });

  after(async () => {
    dev?.kill();
    await capstan?.remove();
    rmSync(scratch, { recursive: true, force: true });
  });

  const change = (from: string, to: string) => {
    const path = join(dir, "plugin.ts");
    const text = readFileSync(path, "utf8");
    assert.ok(text.includes(from), from);
    writeFileSync(path, text.replace(from, to));
  };
  const refusal = async () => (await capstan.tryKubectl("create", "configmap", "x", "--dry-run=server")).stderr;

  test("a change of the source is served, an error in it is said and changes nothing", async () => {
    await eventually("the watching to begin", async () => said.includes("watching"));
    await eventually("the first version", async () => (await refusal()).includes('the label "team" is missing'));
    change("is missing", "was forgotten");
    await eventually("the second version", async () => (await refusal()).includes('the label "team" was forgotten'));
    change("export const admission", "export const admission = ;;");
    await eventually("the error", async () => said.includes("✖") && said.includes("plugin.ts"));
    assert.match(await refusal(), /the label "team" was forgotten/);
    change("export const admission = ;;", "export const admission");
  });

  test("what fails in the guest is told with its line in the author's file", async () => {
    change(
      "    const { label } = readConfig<Config>();\n    if",
      '    const { label } = readConfig<Config>();\n    throw new Error("a mistake");\n    if',
    );
    await eventually("the third version", async () => (await refusal()).includes("a mistake"));
    const line =
      readFileSync(join(dir, "plugin.ts"), "utf8")
        .split("\n")
        .findIndex((text) => text.includes("a mistake")) + 1;
    await eventually("the log", async () => {
      const { stdout } = await capstan.capstan("plugin", "logs", "dev-check");
      return stdout.includes("a mistake") && stdout.includes(`plugin.ts:${line}:`);
    });
  });
});
