/** Deletes bootstrap tokens that have expired (upstream: pkg/controller/bootstrap, tokencleaner). */
import type { Secret } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { keyOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { SECRETS } from "../resources.ts";
import { expiresInMs } from "./tokens.ts";

export const tokenCleaner: Controller = {
  name: "token-cleaner",
  async start(context) {
    const queue = createWorkQueue();
    const tokens = context.informers.bootstrapTokens();
    const add = (secret: Secret) => queue.add(keyOf(secret));
    tokens.on({ added: add, updated: add });
    if (!(await synced(context.signal, tokens))) return;
    await runController({
      name: "token-cleaner",
      queue,
      workers: 1,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const secret = tokens.get(key);
        const inMs = secret && expiresInMs(secret, Date.now());
        if (!secret || inMs === undefined) return;
        if (inMs > 0) return { requeueAfterMs: inMs };
        const { namespace, name = "", uid } = secret.metadata;
        try {
          await clientFor(context, secret).delete(SECRETS, { namespace, name }, { preconditions: { uid } });
        } catch (error) {
          // It is gone, or another has its name.
          if (!isReason(error, "NotFound") && !isReason(error, "Conflict")) throw error;
        }
      },
    });
  },
};
