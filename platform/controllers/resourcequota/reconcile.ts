/** What a quota's namespace uses of it. */
import { type Amounts, addAmounts, count, masked, textsOf } from "#platform/rules/quota/amounts.ts";
import { countedBy, inScopes, quotaUsage, resourceCounted } from "#platform/rules/quota/evaluate.ts";
import type { ResourceQuota } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";

/** status.used: every name of spec.hard, with what the objects that `list` answers count. `now` in milliseconds. */
export async function countUsage(
  quota: ResourceQuota,
  list: (resource: string) => Promise<readonly DynamicObject[]>,
  now: number,
): Promise<Record<string, string>> {
  const names = Object.keys(quota.spec?.hard ?? {});
  let used: Amounts = Object.fromEntries(names.map((name) => [name, count(0)]));
  const counted = new Set(names.flatMap((name) => resourceCounted(name) ?? resourceOfPods(name)));
  for (const resource of counted) {
    const own = names.filter((name) => countedBy(resource, name));
    for (const object of await list(resource)) {
      if (inScopes(quota, resource, object)) used = addAmounts(used, masked(quotaUsage(resource, object, now), own));
    }
  }
  return textsOf(used);
}

const resourceOfPods = (name: string): string[] => (countedBy("pods", name) ? ["pods"] : []);
