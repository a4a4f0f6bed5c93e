/** What a quota's namespace uses of it. */
import { type Amounts, addAmounts, count, masked, textsOf } from "#platform/rules/quota/amounts.ts";
import { CLAIMS, countsResources, type DeviceFacts } from "#platform/rules/quota/devices.ts";
import { countedBy, inScopes, quotaUsage, resourcesCounted } from "#platform/rules/quota/evaluate.ts";
import type { DeviceClass, Pod, ResourceClaim, ResourceQuota } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";

/** status.used: every name of spec.hard, with what the objects that `list` answers count. `now` in milliseconds. */
export async function countUsage(
  quota: ResourceQuota,
  list: (resource: string) => Promise<readonly DynamicObject[]>,
  now: number,
): Promise<Record<string, string>> {
  const names = Object.keys(quota.spec?.hard ?? {});
  let used: Amounts = Object.fromEntries(names.map((name) => [name, count(0)]));
  const known = new Map<string, Promise<readonly DynamicObject[]>>();
  const listed = (resource: string) => {
    const present = known.get(resource) ?? list(resource);
    known.set(resource, present);
    return present;
  };
  const devices = names.some(countsResources) ? await deviceFacts(listed) : undefined;
  for (const resource of new Set(names.flatMap(resourcesCounted))) {
    const own = names.filter((name) => countedBy(resource, name));
    for (const object of await listed(resource)) {
      if (!inScopes(quota, resource, object)) continue;
      used = addAmounts(used, masked(quotaUsage(resource, object, now, devices), own));
    }
  }
  return textsOf(used);
}

async function deviceFacts(list: (resource: string) => Promise<readonly DynamicObject[]>): Promise<DeviceFacts> {
  const pods = (await list("pods")) as unknown as readonly Pod[];
  return {
    classes: (await list("deviceclasses.resource.k8s.io")) as unknown as readonly DeviceClass[],
    claims: (await list(CLAIMS)) as unknown as readonly ResourceClaim[],
    pods: new Map(pods.map((pod) => [pod.metadata.name ?? "", pod])),
  };
}
