/** RuntimeClass `wasm` of root: pods that are components, on whatever node (decisions/119). */
import { COMPONENTS_ONLY_TAINT } from "#platform/node/node-object.ts";
import { WASM_HANDLER } from "#platform/node/wasm/runtime.ts";
import type { RuntimeClass } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { type Config, paths } from "./config.ts";

const RUNTIME_CLASSES: GroupVersionResource = { group: "node.k8s.io", version: "v1", resource: "runtimeclasses" };

const wasm: RuntimeClass = {
  apiVersion: "node.k8s.io/v1",
  kind: "RuntimeClass",
  metadata: { name: "wasm" },
  handler: WASM_HANDLER,
  scheduling: { tolerations: [{ key: COMPONENTS_ONLY_TAINT, operator: "Exists", effect: "NoSchedule" }] },
};

/** One that is there already is its owner's. */
export async function ensureRuntimeClass(config: Config): Promise<void> {
  const client = createClient({ ...loadKubeconfig(paths(config.dataDir).kubeconfig), userAgent: "capstan-up" });
  try {
    await client.create(RUNTIME_CLASSES, wasm);
  } catch (error) {
    if (!isReason(error, "AlreadyExists")) throw error;
  } finally {
    client.close();
  }
}
