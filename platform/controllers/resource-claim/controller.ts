/** Makes the claims that pods ask for by template, and takes reservations back from pods that are over (upstream: pkg/controller/resourceclaim). */

import { messageOf } from "#platform/base/log.ts";
import { createTurns } from "#platform/base/turns.ts";
import { groupConsumer, groupNameOf, isGroup, isGroupsClaim, isMadeForGroupOf } from "#platform/rules/group-claims.ts";
import type {
  Pod,
  PodGroup,
  PodResourceClaim,
  ResourceClaim,
  ResourceClaimTemplate,
} from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { keyOf } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, type ControllerContext, clientFor, synced } from "../context.ts";
import { controllerOf, isTerminating, namespaceKey } from "../objects.ts";
import { PODS, RESOURCE_CLAIM_TEMPLATES, RESOURCE_CLAIMS } from "../resources.ts";
import {
  claimFrom,
  claimName,
  claimNames,
  isDone,
  isMadeFor,
  isMadeForGroup,
  isOwnedBy,
  isPod,
  shouldReserve,
  stepFor,
  usesClaims,
} from "./reconcile.ts";

const WORKERS = 4;
/** A template may come later than its pods. */
const LAST_RETRY_MS = 10_000;
const GROUP_LOOK_MS = 60_000;
const POD_GROUPS = { group: "scheduling.k8s.io", version: "v1alpha2", resource: "podgroups" };

export const resourceClaimController: Controller = {
  name: "resource-claim",
  async start(context) {
    const { informers } = context;
    const [claims, pods] = [informers.resourceClaims(), informers.pods()];
    const [podQueue, claimQueue] = [createWorkQueue({ lastRetryMs: LAST_RETRY_MS }), createWorkQueue()];
    const recorder = context.recorder("resource_claim");
    const claimsOf = (pod: Pod) => claimNames(pod).map((name) => `${namespaceKey(pod)}/${name}`);
    const look = (pod: Pod, isGone = false) => {
      if (!usesClaims(pod)) return;
      if (isGone || isDone(pod)) for (const key of claimsOf(pod)) claimQueue.add(key);
      if (!isGone && !isTerminating(pod)) podQueue.add(keyOf(pod));
    };
    pods.on({ added: (pod) => look(pod), updated: (pod) => look(pod), deleted: (pod) => look(pod, true) });
    const users = (claim: ResourceClaim) => {
      for (const pod of pods.byIndex("namespace", namespaceKey(claim)))
        if (claimsOf(pod).includes(keyOf(claim)) || isOwnedBy(claim, pod)) look(pod);
    };
    const lookAt = (claim: ResourceClaim) => {
      claimQueue.add(keyOf(claim));
      users(claim);
    };
    claims.on({ added: lookAt, updated: lookAt, deleted: users });
    if (!(await synced(context.signal, claims, pods))) return;
    const common = { workers: WORKERS, log: context.log, signal: context.signal };
    await Promise.all([
      runController({
        ...common,
        name: "resource-claim-pods",
        queue: podQueue,
        async reconcile(key) {
          const pod = pods.get(key);
          if (pod && !isTerminating(pod) && !isDone(pod)) await servePod(context, recorder, pod);
        },
      }),
      runController({
        ...common,
        name: "resource-claim",
        queue: claimQueue,
        async reconcile(key) {
          const claim = claims.get(key);
          if (!claim) return undefined;
          await cleanClaim(context, claim);
          // Groups are looked up where they are asked about: nobody tells that one is gone.
          return claim.status?.reservedFor?.some(isGroup) ? { requeueAfterMs: GROUP_LOOK_MS } : undefined;
        },
      }),
    ]);
  },
};

async function servePod(context: ControllerContext, recorder: Recorder, pod: Pod): Promise<void> {
  const made = new Map<string, string>();
  for (const podClaim of pod.spec?.resourceClaims ?? []) {
    try {
      const name = await ensureClaim(context, pod, podClaim);
      if (name !== undefined) made.set(podClaim.name, name);
    } catch (error) {
      const message = `PodResourceClaim ${podClaim.name}: ${messageOf(error)}`;
      recorder.event(pod, "Warning", "FailedResourceClaimCreation", message);
      throw error;
    }
  }
  const client = clientFor(context, pod);
  if (made.size > 0) {
    const others = (pod.status?.resourceClaimStatuses ?? []).filter((s) => !made.has(s.name));
    const added = [...made].map(([name, resourceClaimName]) => ({ name, resourceClaimName }));
    const status = { ...pod.status, resourceClaimStatuses: [...others, ...added] };
    await client.update(PODS, { ...pod, status }, { subresource: "status" });
    return;
  }
  if (!pod.spec?.nodeName) return;
  for (const podClaim of pod.spec.resourceClaims ?? []) {
    const claim = context.informers.resourceClaims().get(`${namespaceKey(pod)}/${claimName(pod, podClaim)}`);
    if (!claim || !shouldReserve(claim, pod)) continue;
    const group = await groupWith(context, pod, podClaim);
    const own = { resource: "pods", name: pod.metadata.name ?? "", uid: pod.metadata.uid ?? "" };
    const consumer = group ? groupConsumer(group) : own;
    const status = { ...claim.status, reservedFor: [...(claim.status?.reservedFor ?? []), consumer] };
    await client.update(RESOURCE_CLAIMS, { ...claim, status }, { subresource: "status" });
  }
}

/** The name of the claim where the pod's status does not have it yet. */
async function ensureClaim(
  context: ControllerContext,
  pod: Pod,
  podClaim: PodResourceClaim,
): Promise<string | undefined> {
  const template = podClaim.resourceClaimTemplateName;
  if (template === undefined) return undefined;
  const known = claimName(pod, podClaim);
  if (known === null) return undefined;
  const present = known && context.informers.resourceClaims().get(`${namespaceKey(pod)}/${known}`);
  if (present && (isOwnedBy(present, pod) || isMadeForGroupOf(present, pod))) return undefined;
  const group = await groupWith(context, pod, podClaim);
  if (group) {
    const made = await ensureGroupClaim(context, group, podClaim, template);
    return made === known ? undefined : made;
  }
  const client = clientFor(context, pod);
  const { namespace } = pod.metadata;
  // Its name is the server's: only the API knows whether it was made before.
  const { items } = await client.list<ResourceClaim>(RESOURCE_CLAIMS, { namespace });
  const made = items.find((claim) => isMadeFor(claim, pod, podClaim));
  if (made) return made.metadata.name === known ? undefined : made.metadata.name;
  const from = await templateOf(context, pod, template);
  return (await client.create<ResourceClaim>(RESOURCE_CLAIMS, claimFrom(from, pod, podClaim))).metadata.name;
}

/** The pod's group, where it shares this claim with its pods. */
async function groupWith(
  context: ControllerContext,
  pod: Pod,
  podClaim: PodResourceClaim,
): Promise<PodGroup | undefined> {
  const name = groupNameOf(pod);
  if (name === undefined) return undefined;
  const group = await groupNamed(context, pod, name);
  return isGroupsClaim(podClaim, group) ? group : undefined;
}

async function groupNamed(
  context: ControllerContext,
  near: Pod | ResourceClaim,
  name: string,
): Promise<PodGroup | undefined> {
  try {
    return await clientFor(context, near).get<PodGroup>(POD_GROUPS, { namespace: near.metadata.namespace, name });
  } catch (error) {
    if (isReason(error, "NotFound")) return undefined;
    throw error;
  }
}

/** One claim of a group is made at a time: all of its pods ask for it. */
const inTurn = createTurns();

/** Its name; made with the first pod of the group. */
async function ensureGroupClaim(
  context: ControllerContext,
  group: PodGroup,
  { name }: PodResourceClaim,
  templateName: string,
): Promise<string> {
  const key = `${group.metadata.uid}/${name}`;
  return await inTurn(key, async () => {
    const client = clientFor(context, group);
    const { namespace } = group.metadata;
    const { items } = await client.list<ResourceClaim>(RESOURCE_CLAIMS, { namespace });
    const known = items.find((claim) => isMadeForGroup(claim, group, name));
    if (known) return known.metadata.name ?? "";
    const from = await templateOf(context, group, templateName);
    const made = await client.create<ResourceClaim>(RESOURCE_CLAIMS, claimFrom(from, group, { name }, "PodGroup"));
    const status = { resourceClaimStatuses: [{ name, resourceClaimName: made.metadata.name ?? "" }] };
    const body = { metadata: { uid: group.metadata.uid }, status };
    const patch = { type: "strategic" as const, body };
    await client.patch(POD_GROUPS, { namespace, name: group.metadata.name ?? "" }, patch, { subresource: "status" });
    return made.metadata.name ?? "";
  });
}

async function templateOf(
  context: ControllerContext,
  pod: Pod | PodGroup,
  name: string,
): Promise<ResourceClaimTemplate> {
  const { namespace } = pod.metadata;
  try {
    return await clientFor(context, pod).get<ResourceClaimTemplate>(RESOURCE_CLAIM_TEMPLATES, { namespace, name });
  } catch (error) {
    throw new Error(`resource claim template ${JSON.stringify(name)}: ${messageOf(error)}`);
  }
}

async function cleanClaim(context: ControllerContext, claim: ResourceClaim): Promise<void> {
  const live = new Set<string>();
  for (const user of claim.status?.reservedFor ?? []) {
    const { name, uid } = user;
    if (isPod(user) && (await mayRun(context, claim, name, uid))) live.add(uid);
    if (isGroup(user) && (await groupNamed(context, claim, name))?.metadata.uid === uid) live.add(uid);
  }
  const owner = controllerOf(claim);
  const pods = context.informers.pods();
  const ownerPod = owner?.kind === "Pod" ? pods.get(`${namespaceKey(claim)}/${owner.name}`) : undefined;
  const step = stepFor(claim, live, owner?.kind === "Pod" ? { uid: owner.uid, pod: ownerPod } : undefined);
  const client = clientFor(context, claim);
  let present = claim;
  try {
    if (step.status)
      present = await client.update<ResourceClaim>(
        RESOURCE_CLAIMS,
        { ...claim, status: step.status },
        { subresource: "status" },
      );
    if (step.finalizers) {
      const metadata = { ...present.metadata, finalizers: step.finalizers };
      present = await client.update<ResourceClaim>(RESOURCE_CLAIMS, { ...present, metadata });
    }
    const { namespace, name = "", uid } = claim.metadata;
    if (step.remove) await client.delete(RESOURCE_CLAIMS, { namespace, name }, { preconditions: { uid } });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
  }
}

/** The cache may not have the pod yet: only the API knows that there is none. */
async function mayRun(context: ControllerContext, claim: ResourceClaim, name: string, uid: string): Promise<boolean> {
  const known = context.informers.pods().get(`${namespaceKey(claim)}/${name}`);
  if (known) return known.metadata.uid === uid && !isDone(known);
  try {
    const { namespace } = claim.metadata;
    const pod = await clientFor(context, claim).get<Pod>(PODS, { namespace, name });
    return pod.metadata.uid === uid && !isDone(pod);
  } catch (error) {
    if (isReason(error, "NotFound")) return false;
    throw error;
  }
}
