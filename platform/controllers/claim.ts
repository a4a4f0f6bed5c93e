/** Adopting what the selector finds without a controller, releasing what it finds no more (upstream: controller_ref_manager.go). */

import type { LabelSelector } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { controllerOf, controllerRef, isTerminating } from "./objects.ts";

export interface ClaimInput<T extends KubeObject, O extends KubeObject> {
  client: Client;
  owner: O;
  ownerResource: GroupVersionResource;
  resource: GroupVersionResource;
  selector: LabelSelector | undefined;
  /** Those the owner controls and those nobody controls, of its namespace. */
  candidates: readonly T[];
}

/** The owner's objects after adoptions and releases. */
export async function claim<T extends KubeObject, O extends KubeObject>(input: ClaimInput<T, O>): Promise<T[]> {
  const { client, owner, selector } = input;
  const claimed: T[] = [];
  for (const object of input.candidates) {
    const matches = selectsLabels(selector, object.metadata.labels);
    const controller = controllerOf(object);
    if (controller) {
      if (controller.uid !== owner.metadata.uid) continue;
      if (matches) claimed.push(object);
      else if (!isTerminating(owner)) await release(client, input.resource, object, owner);
    } else if (matches && !isTerminating(owner) && !isTerminating(object)) {
      await mayAdopt(input);
      const adopted = await adopt(client, input.resource, object, owner);
      if (adopted) claimed.push(adopted);
    }
  }
  return claimed;
}

/** Asks the API, not the cache: an owner that was deleted and made again with its name must not adopt for the old uid. */
async function mayAdopt({ client, owner, ownerResource }: ClaimInput<KubeObject, KubeObject>): Promise<void> {
  const { namespace, name = "", uid } = owner.metadata;
  const fresh = await client.get(ownerResource, { namespace, name });
  if (fresh.metadata.uid !== uid) throw new Error(`original ${owner.kind} ${namespace}/${name} is gone`);
  if (isTerminating(fresh)) throw new Error(`${namespace}/${name} has just been deleted`);
}

async function adopt<T extends KubeObject>(
  client: Client,
  resource: GroupVersionResource,
  object: T,
  owner: KubeObject,
): Promise<T | undefined> {
  const ownerReferences = [...(object.metadata.ownerReferences ?? []), controllerRef(owner)];
  return patchOwners<T>(client, resource, object, ownerReferences);
}

async function release(
  client: Client,
  resource: GroupVersionResource,
  object: KubeObject,
  owner: KubeObject,
): Promise<void> {
  const ownerReferences = (object.metadata.ownerReferences ?? []).filter((o) => o.uid !== owner.metadata.uid);
  await patchOwners(client, resource, object, ownerReferences);
}

/** By compare-and-swap, so that another's adoption is not overwritten. Undefined when the object is gone. */
async function patchOwners<T extends KubeObject>(
  client: Client,
  resource: GroupVersionResource,
  object: T,
  ownerReferences: NonNullable<KubeObject["metadata"]["ownerReferences"]>,
): Promise<T | undefined> {
  const { namespace, name = "", uid, resourceVersion } = object.metadata;
  const metadata = { uid, resourceVersion, ownerReferences: ownerReferences.map((o) => ({ ...o })) };
  try {
    return await client.patch<T>(resource, { namespace, name }, { type: "merge", body: { metadata } });
  } catch (error) {
    if (isReason(error, "NotFound")) return undefined;
    throw error;
  }
}
