/** Runs every loop while this process leads. */
import { messageOf } from "#platform/base/log.ts";
import { pause } from "#sdk/client/log.ts";
import { createRecorder } from "#sdk/client/recorder.ts";
import { type Controller, type ControllerContext, createInformers } from "./context.ts";

export interface RunInput extends Omit<ControllerContext, "informers" | "recorder"> {
  /** Ends with leadership. */
  signal: AbortSignal;
}

const RESTART_MS = 5_000;

/** Resolves when all have ended. A loop that breaks is started again: it must not take the others with it. */
export async function runControllers(controllers: readonly Controller[], input: RunInput): Promise<void> {
  const { client, log, signal } = input;
  const context: ControllerContext = {
    ...input,
    informers: createInformers(client, log, signal),
    recorder: (component) => createRecorder({ client, component, log, perTenant: true }),
  };
  await Promise.all(
    controllers.map(async (controller) => {
      while (!signal.aborted) {
        try {
          await controller.start({ ...context, log: log.with({ controller: controller.name }) });
        } catch (error) {
          log.error("a controller broke and is started again", {
            controller: controller.name,
            error: messageOf(error),
          });
          await pause(RESTART_MS, signal);
        }
      }
    }),
  );
}
