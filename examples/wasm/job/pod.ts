/** Counts primes and ends: a Job that is a WebAssembly component. `npx capstan image build examples/wasm/job --name primes-wasm:1` */

import { command } from "@capstan/sdk/pod/command.ts";
import { args } from "@capstan/sdk/pod/environment.ts";

export const run = command(() => {
  const limit = Number(args()[1] ?? 10_000);
  if (!Number.isInteger(limit) || limit < 0) {
    console.error(`${args()[1]} is no number to count to`);
    return 2;
  }
  let count = 0;
  for (let n = 2; n <= limit; n++) {
    let prime = true;
    for (let d = 2; d * d <= n && prime; d++) prime = n % d !== 0;
    if (prime) count++;
  }
  console.log(`${count} primes up to ${limit}`);
  return undefined;
});
