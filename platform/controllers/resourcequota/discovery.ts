/** Which version serves a resource that a quota names ("deployments.apps"): what is built in by facts, the rest by asking the API. */
import { resources } from "#sdk/api/facts.ts";
import type { GroupVersionResource } from "#sdk/api/object.ts";
import type { Client } from "#sdk/client/port.ts";

interface GroupList {
  groups?: { name: string; preferredVersion?: { version: string } }[];
}

/** Undefined when nothing of that name is served now. */
export async function resourceNamed(client: Client, name: string): Promise<GroupVersionResource | undefined> {
  const at = name.indexOf(".");
  const [resource, group] = at < 0 ? [name, ""] : [name.slice(0, at), name.slice(at + 1)];
  const known = resources().find((r) => r.group === group && r.resource === resource);
  if (known)
    return known.namespaced && known.verbs.includes("list") ? { group, version: known.version, resource } : undefined;
  const { code, body } = await client.raw("GET", "/apis");
  if (code !== 200) return undefined;
  const found = ((JSON.parse(body) as GroupList).groups ?? []).find((g) => g.name === group);
  const version = found?.preferredVersion?.version;
  return version === undefined ? undefined : { group, version, resource };
}
