/**
 * Claims whose volumes drivers mounted here, watched one by one, as the node's identity may: who makes a claim larger while a pod uses it waits
 * for the driver and this node, not for the pod's next look.
 */
import type { Log } from "#platform/base/log.ts";
import type { PersistentVolumeClaim } from "#sdk/api/generated/types.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, type Informer, tenantOf } from "#sdk/client/port.ts";
import type { NodePod } from "../context.ts";
import { CLAIMS } from "../volumes/claims.ts";
import { waitsForNode } from "./expand.ts";

export interface ClaimWatches {
  /** The pod has this claim's volume. */
  follow(pod: NodePod, claimName: string): void;
  forget(uid: string): void;
  /** One of the pod's claims says that the node has to make its volume larger. */
  wait(uid: string): boolean;
}

interface Followed {
  informer: Informer<PersistentVolumeClaim>;
  ending: AbortController;
  uids: Set<string>;
}

/** `wake` is told each pod of a claim that has come to wait for the node. All ends with `signal`. */
export function createClaimWatches(
  { client, log }: { client: Client; log: Log },
  signal: AbortSignal,
  wake: (uid: string) => void,
): ClaimWatches {
  const followed = new Map<string, Followed>();

  const begin = (tenant: string, namespace: string, name: string): Followed => {
    const selection = { namespace, fieldSelector: `metadata.name=${name}` };
    const informer = createInformer<PersistentVolumeClaim>(client.tenant(tenant), CLAIMS, { log, ...selection });
    const one: Followed = { informer, ending: new AbortController(), uids: new Set() };
    const look = (claim: PersistentVolumeClaim) => {
      if (waitsForNode(claim)) for (const uid of one.uids) wake(uid);
    };
    informer.on({ added: look, updated: look });
    void informer.start(AbortSignal.any([signal, one.ending.signal]));
    return one;
  };

  return {
    follow(pod, claimName) {
      const { namespace, uid } = pod.metadata;
      const tenant = tenantOf(pod);
      const key = `${tenant}/${namespace}/${claimName}`;
      const one = followed.get(key) ?? begin(tenant, namespace, claimName);
      one.uids.add(uid);
      followed.set(key, one);
    },
    forget(uid) {
      for (const [key, { uids, ending }] of followed) {
        if (!uids.delete(uid) || uids.size > 0) continue;
        ending.abort();
        followed.delete(key);
      }
    },
    wait: (uid) =>
      [...followed.values()].some(({ uids, informer }) => uids.has(uid) && informer.list().some(waitsForNode)),
  };
}
