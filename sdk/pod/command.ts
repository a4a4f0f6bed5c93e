/** A pod that does something and ends: `export const run = command(() => { … })` in pod.ts. What it throws or answers is its exit code. */
import exit from "wasi:cli/exit@0.2.12";

/** `work` answers the exit code; nothing is 0. */
export function command(work: () => number | undefined): { run(): void } {
  return {
    run() {
      let code: number;
      try {
        code = work() ?? 0;
      } catch (error) {
        console.error(error instanceof Error ? `${error.message}\n${error.stack ?? ""}` : String(error));
        code = 1;
      }
      if (code === 0) return;
      if (exit.exitWithCode) exit.exitWithCode(code);
      exit.exit({ tag: "err" });
    },
  };
}
