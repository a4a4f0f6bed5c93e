/** The real capabilities for `test --record`: the API as the user of the kubeconfig, programs and files of this machine by the manifest's grants. */
import { systemClock } from "#platform/base/clock.ts";
import { createLog } from "#platform/base/log.ts";
import { createGrpcCaller } from "#platform/plugin-host/capabilities/grpc.ts";
import { createHostCalls } from "#platform/plugin-host/capabilities/index.ts";
import type { HostCall } from "#sdk/engine/port.ts";
import { readManifest } from "#sdk/plugin/build.ts";
import { pluginSpecSchema } from "#sdk/plugin/manifest.ts";
import { type PluginOptions, pluginClient } from "./options.ts";

const CALL_MS_MAX = 60_000;
/** Of no component: only the capabilities of the spec are looked at here. */
const NO_DIGEST = `sha256:${"0".repeat(64)}`;

export function liveCalls(options: PluginOptions, dir: string): { call: HostCall; close(): void } {
  const { client, close } = pluginClient(options);
  const { name, ...manifest } = readManifest(dir);
  const grpc = createGrpcCaller();
  const calls = createHostCalls({
    plugin: name,
    tenant: options.tenant,
    spec: pluginSpecSchema.parse({ ...manifest, digest: NO_DIGEST }),
    client: () => client,
    grpc,
    variables: { dataDir: options.dataDir },
    log: createLog("warn"),
    clock: systemClock,
    onDenied: () => undefined,
  });
  return {
    call: (...call) => calls({ tenant: options.tenant, hook: "test", deadlineAt: Date.now() + CALL_MS_MAX })(...call),
    close() {
      grpc.close();
      close();
    },
  };
}
