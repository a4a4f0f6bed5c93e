/**
 * Signs the kubeconfig in kube-public/cluster-info with every bootstrap token that may sign, so that who has a token knows the cluster for the
 * right one (upstream: pkg/controller/bootstrap, bootstrapsigner). Each tenant has its own.
 */
import type { ConfigMap, Secret } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, synced } from "../context.ts";
import { sameJson } from "../objects.ts";
import { CONFIGMAPS } from "../resources.ts";
import { CLUSTER_INFO, expiresInMs, signedData, signingToken } from "./tokens.ts";

export const bootstrapSigner: Controller = {
  name: "bootstrap-signer",
  async start(context) {
    const queue = createWorkQueue();
    const tokens = context.informers.bootstrapTokens();
    const infos = context.informers.clusterInfos();
    const addOf = (object: ConfigMap | Secret) => queue.add(tenantOf(object));
    tokens.on({ added: addOf, updated: addOf, deleted: addOf });
    infos.on({ added: addOf, updated: addOf });
    if (!(await synced(context.signal, tokens, infos))) return;
    await runController({
      name: "bootstrap-signer",
      queue,
      workers: 1,
      log: context.log,
      signal: context.signal,
      async reconcile(tenant) {
        const info = infos.get(`${tenant}/${CLUSTER_INFO.namespace}/${CLUSTER_INFO.name}`);
        if (!info) return;
        const now = Date.now();
        const own = tokens.list().filter((secret) => tenantOf(secret) === tenant);
        const data = signedData(
          info.data ?? {},
          own.flatMap((secret) => signingToken(secret, now) ?? []),
        );
        if (data && !sameJson(data, info.data)) {
          try {
            await context.client.tenant(tenant).update(CONFIGMAPS, { ...info, data });
          } catch (error) {
            // Its change comes as an event.
            if (!isReason(error, "NotFound") && !isReason(error, "Conflict")) throw error;
          }
        }
        const next = own.flatMap((secret) => expiresInMs(secret, now) ?? []).filter((inMs) => inMs > 0);
        return next.length > 0 ? { requeueAfterMs: Math.min(...next) } : undefined;
      },
    });
  },
};
