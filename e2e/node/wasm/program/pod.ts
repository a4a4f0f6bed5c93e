/** Ends as its arguments say. */

import { command } from "#sdk/pod/command.ts";
import { args } from "#sdk/pod/environment.ts";

export const run = command(() => {
  const [, what = "", value = ""] = args();
  console.log(`asked to ${what} ${value}`);
  if (what === "exit") return Number(value);
  if (what === "grow") {
    const kept: number[][] = [];
    for (;;) kept.push(new Array<number>(10_000).fill(kept.length));
  }
  if (what === "spin") for (;;);
  return undefined;
});
