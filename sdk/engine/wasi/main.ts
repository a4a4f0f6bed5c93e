/**
 * A process that runs one component as a program: `node main.ts SPEC`, the file of a GuestSpec (spec.ts). It has no environment of the machine's, reads and
 * writes what Node's permission flags leave it, and ends with the guest, whose end is in the spec's exit file.
 */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { type Guest, prepareGuest } from "./guest.ts";
import { importsOf } from "./imports.ts";
import { openLog } from "./log-file.ts";
import { runModule } from "./module.ts";
import { answerErrors, serveGuest } from "./server.ts";
import { loadShim } from "./shim.ts";
import { EXIT_ABORTED, EXIT_KILLED, type GuestExit, type GuestSpec, INCOMING_HANDLER, RUN } from "./spec.ts";

const spec = JSON.parse(readFileSync(process.argv[2] ?? "", "utf8")) as GuestSpec;
const log = openLog(spec.log);
const say = (text: string): void => log.write("stderr", Buffer.from(`${text}\n`));
const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

function end(exitCode: number, message = "", reason = exitCode === 0 ? "Completed" : "Error"): never {
  log.end();
  const exit: GuestExit = { exitCode, reason, message, finishedAt: Date.now() };
  writeFileSync(`${spec.exitFile}.new`, JSON.stringify(exit));
  renameSync(`${spec.exitFile}.new`, spec.exitFile);
  process.exit(exitCode);
}

const outOfMemory = (bytes: number): boolean => bytes > spec.memoryBytesMax;
const killed = (): never =>
  end(EXIT_KILLED, `the memory limit of ${spec.memoryBytesMax} bytes is reached`, "OOMKilled");

const check = (memoryBytes: number): void => void (outOfMemory(memoryBytes) && killed());

async function run(): Promise<void> {
  if ("module" in spec.component) {
    return end(runModule(spec.component.module, spec, log, check));
  }
  const shim = await loadShim();
  const giveUp = answerErrors(shim, (error) => say(`a request failed: ${messageOf(error)}`));
  let guest: Guest | undefined;
  const exit = (code: number): never => {
    // A program that could not go on for want of memory says so in its own way, if at all.
    if (code !== 0) check(guest?.memoryBytes() ?? 0);
    end(code);
  };
  const imports = importsOf(shim, spec, log, { exit });
  const make = await prepareGuest(spec.component.folder, spec.memoryBytesMax, imports);
  const first = make();
  guest = first;
  if (first.find(INCOMING_HANDLER)) {
    const trapped = (error: unknown, bytes: number) => {
      say(`a request trapped: ${messageOf(error)}`);
      check(bytes);
    };
    const server = serveGuest({ shim, listen: spec.listen, make, first, trapped, answered: check }, giveUp);
    process.once("SIGTERM", () => {
      server.stop();
      end(0);
    });
    return;
  }
  const program = first.find(RUN);
  if (!program?.["run"]) throw new Error(`the component exports neither ${RUN} nor ${INCOMING_HANDLER}`);
  let code = 0;
  try {
    program["run"]();
  } catch (error) {
    check(first.memoryBytes());
    // The program's own way to say that it failed, without a word.
    if (!(error instanceof Error && error.constructor.name === "ComponentError")) throw error;
    code = 1;
  }
  check(first.memoryBytes());
  end(code);
}

run().catch((error: unknown) => {
  say(messageOf(error));
  end(EXIT_ABORTED, messageOf(error));
});
