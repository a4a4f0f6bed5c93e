import { delay } from "#platform/base/clock.ts";
import type { GroupVersionResource } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { type Config, paths } from "./config.ts";

const SERVICE_ACCOUNTS: GroupVersionResource = { group: "", version: "v1", resource: "serviceaccounts" };
const WAIT_MS_MAX = 15_000;

/** Until the controllers have made the account without which a first pod would be refused; a note where they have not in time. */
export async function waitForDefaultAccount(config: Config): Promise<void> {
  const client = createClient({ ...loadKubeconfig(paths(config.dataDir).kubeconfig), userAgent: "capstan-up" });
  const deadline = Date.now() + WAIT_MS_MAX;
  try {
    for (;;) {
      try {
        await client.get(SERVICE_ACCOUNTS, { namespace: "default", name: "default" });
        return;
      } catch (error) {
        if (!isReason(error, "NotFound")) throw error;
      }
      if (Date.now() > deadline) break;
      await delay(50);
    }
  } finally {
    client.close();
  }
  process.stdout.write(
    `! the namespace "default" has no service account yet: pods are refused until it has (kubectl get serviceaccounts)\n`,
  );
}
