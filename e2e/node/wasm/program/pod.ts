/** Ends as its arguments say. */

import { command } from "#sdk/pod/command.ts";
import { args } from "#sdk/pod/environment.ts";
import { request } from "#sdk/pod/request.ts";

export const run = command(() => {
  const [, what = "", value = ""] = args();
  console.log(`asked to ${what} ${value}`);
  if (what === "exit") return Number(value);
  if (what === "grow") {
    const kept: number[][] = [];
    for (;;) kept.push(new Array<number>(10_000).fill(kept.length));
  }
  if (what === "ask") {
    const { status, headers, body } = request({
      url: value,
      method: "POST",
      headers: { "x-test": "asked" },
      body: "question",
      timeoutMs: 10_000,
    });
    console.log(`answered ${status} ${headers["content-type"] ?? ""} ${body}`);
  }
  if (what === "spin") for (;;);
  return undefined;
});
