/** Every namespace has the cluster authority's certificate in kube-root-ca.crt (upstream: pkg/controller/certificates/rootcacertpublisher). */
import type { KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController, splitKey } from "#sdk/client/controller.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, ROOT_CA_NAME, synced } from "../context.ts";
import { isTerminating, sameJson } from "../objects.ts";
import { CONFIGMAPS } from "../resources.ts";

const DESCRIPTION = {
  "kubernetes.io/description":
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes clusters.",
};

export const rootCAController: Controller = {
  name: "root-ca",
  async start(context) {
    const queue = createWorkQueue();
    const namespaces = context.informers.namespaces();
    const published = context.informers.rootCAs();
    const addNamespace = (namespace: KubeObject) => queue.add(`${tenantOf(namespace)}//${namespace.metadata.name}`);
    const addOf = (map: KubeObject) => queue.add(`${tenantOf(map)}//${map.metadata.namespace}`);
    namespaces.on({ added: addNamespace, updated: addNamespace });
    published.on({ updated: addOf, deleted: addOf });
    if (!(await synced(context.signal, namespaces, published))) return;
    const data = { "ca.crt": context.rootCA };

    await runController({
      name: "root-ca",
      queue,
      workers: 2,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const namespace = namespaces.get(key);
        if (!namespace || isTerminating(namespace)) return;
        const { tenant, name } = splitKey(key);
        const client = context.client.tenant(tenant);
        const present = published.get(`${tenant}/${name}/${ROOT_CA_NAME}`);
        if (present) {
          if (!sameJson(present.data, data)) await client.update(CONFIGMAPS, { ...present, data });
          return;
        }
        const metadata = { name: ROOT_CA_NAME, namespace: name, annotations: DESCRIPTION };
        try {
          await client.create(CONFIGMAPS, { apiVersion: "v1", kind: "ConfigMap", metadata, data });
        } catch (error) {
          const settled = ["AlreadyExists", "NotFound"].some((reason) => isReason(error, reason));
          if (!settled) throw error;
        }
      },
    });
  },
};
