/** Waiting for the API server, which may start later than those who need it. */
import { pause } from "#sdk/client/log.ts";
import type { Client } from "#sdk/client/port.ts";

/** Resolves when the API answers /readyz with 200, or when the signal aborts. */
export async function whenServed(client: Client, signal: AbortSignal): Promise<void> {
  while (!signal.aborted) {
    try {
      if ((await client.raw("GET", "/readyz")).code === 200) return;
    } catch {
      // Not there yet.
    }
    await pause(200, signal);
  }
}
