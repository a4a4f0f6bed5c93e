import type { Options } from "./settings.ts";

/** What a file in commands/ gives to the command line. */
export interface Command {
  usage: string;
  help: string;
  /** Not for people: started by other commands. */
  internal?: boolean;
  /** Resolves with the exit code. */
  run(options: Options, positionals: string[]): Promise<number>;
}
