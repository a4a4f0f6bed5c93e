/** Every living namespace has its service account "default" (upstream: pkg/controller/serviceaccount). */
import type { KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController, splitKey } from "#sdk/client/controller.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, synced } from "../context.ts";
import { isTerminating } from "../objects.ts";
import { SERVICE_ACCOUNTS } from "../resources.ts";

export const serviceAccountController: Controller = {
  name: "serviceaccount",
  async start(context) {
    const queue = createWorkQueue();
    const namespaces = context.informers.namespaces();
    const accounts = context.informers.serviceAccounts();
    const add = (namespace: KubeObject) => queue.add(`${tenantOf(namespace)}//${namespace.metadata.name}`);
    namespaces.on({ added: add, updated: add });
    accounts.on({ deleted: (account) => queue.add(`${tenantOf(account)}//${account.metadata.namespace}`) });
    if (!(await synced(context.signal, namespaces, accounts))) return;

    await runController({
      name: "serviceaccount",
      queue,
      workers: 2,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const namespace = namespaces.get(key);
        if (!namespace || isTerminating(namespace)) return;
        const { tenant, name } = splitKey(key);
        if (accounts.get(`${tenant}/${name}/default`)) return;
        const account = { apiVersion: "v1", kind: "ServiceAccount", metadata: { name: "default", namespace: name } };
        try {
          await context.client.tenant(tenant).create(SERVICE_ACCOUNTS, account);
        } catch (error) {
          // Forbidden: the namespace has begun to end meanwhile.
          const settled = ["AlreadyExists", "NotFound"].some((reason) => isReason(error, reason));
          if (!settled) throw error;
        }
      },
    });
  },
};
