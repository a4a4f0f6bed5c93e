/** Evicts pods whose devices have NoExecute taints that their claims don't tolerate. Devices belong to root, claims and pods to any tenant. */
import type { Device, Pod, ResourceClaim, ResourceSlice } from "#sdk/api/generated/types.ts";
import { runController } from "#sdk/client/controller.ts";
import { keyOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { isFinished, isTerminating, namespaceKey, sameJson } from "../objects.ts";
import { claimName } from "../resource-claim/reconcile.ts";
import { evict } from "../taint-eviction/controller.ts";
import { deviceEvictionInMs, taintedDevices } from "./reconcile.ts";

const WORKERS = 4;
const WHY = {
  reason: "DeletionByDeviceTaintManager",
  message: "Device Taint manager: deleting due to NoExecute taint",
};

export const deviceTaintEvictionController: Controller = {
  name: "device-taint-eviction",
  async start(context) {
    const queue = createWorkQueue({ lastRetryMs: 30_000 });
    const recorder = context.recorder("device-taint-eviction");
    const { informers } = context;
    const [slices, claims, pods] = [informers.resourceSlices(), informers.resourceClaims(), informers.pods()];
    /** Found anew after each change of a slice: most clusters have no tainted device at all. */
    let tainted: Map<string, Device> | undefined;
    const devices = () => {
      tainted ??= taintedDevices(slices.list());
      return tainted;
    };
    const lookAt = (claim: ResourceClaim) => {
      if (devices().size === 0) return;
      for (const { apiGroup, resource, name } of claim.status?.reservedFor ?? [])
        if (!apiGroup && resource === "pods") queue.add(`${namespaceKey(claim)}/${name}`);
    };
    const changed = (slice: ResourceSlice, old?: ResourceSlice) => {
      if (old && sameJson(slice.spec, old.spec)) return;
      tainted = undefined;
      for (const claim of claims.list()) lookAt(claim);
    };
    slices.on({ added: (slice) => changed(slice), updated: changed, deleted: (slice) => changed(slice) });
    claims.on({ added: lookAt, updated: lookAt });
    pods.on({
      added: (pod) => (pod.spec?.resourceClaims?.length && devices().size > 0 ? queue.add(keyOf(pod)) : undefined),
    });
    if (!(await synced(context.signal, slices, claims, pods))) return;

    const claimsOf = (pod: Pod): ResourceClaim[] =>
      (pod.spec?.resourceClaims ?? []).flatMap((podClaim) => {
        const name = claimName(pod, podClaim);
        return (name && claims.get(`${namespaceKey(pod)}/${name}`)) || [];
      });
    await runController({
      name: "device-taint-eviction",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const pod = pods.get(key);
        if (!pod?.spec?.nodeName || isTerminating(pod) || isFinished(pod)) return;
        const inMs = deviceEvictionInMs(pod, claimsOf(pod), devices(), Date.now());
        if (inMs === undefined) return;
        if (inMs > 0) return { requeueAfterMs: inMs };
        recorder.event(pod, "Normal", "DeviceTaintManagerEviction", "Marking for deletion");
        await evict(clientFor(context, pod), pod, WHY);
      },
    });
  },
};
