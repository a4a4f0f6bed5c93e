/** For guests: the programs granted by name, without a shell. Needs the capability "exec". */
import exec from "capstan:plugin/exec@1.0.0";
import { calling } from "./failure.ts";

export interface RunOptions {
  args?: string[];
  /** The program's whole environment (a PATH is added). */
  env?: Record<string, string>;
  stdin?: string;
  /** Default: until the deadline of the call into the plugin. */
  timeoutMs?: number;
}

export interface Output {
  exitCode: number;
  stdout: string;
  stderr: string;
}

/** A non-zero exit is an output; a program that cannot be started, is denied or takes too long is a PluginFailure. */
export const run = (program: string, o: RunOptions = {}): Output =>
  calling(() => exec.run(program, o.args ?? [], Object.entries(o.env ?? {}), o.stdin ?? "", o.timeoutMs ?? 0));
