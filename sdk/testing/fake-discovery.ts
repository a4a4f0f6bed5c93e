/** Discovery documents of the fake API: what upstream serves, by the facts. */
import { groups, resources } from "../api/facts.ts";
import { apiVersionOf } from "../api/object.ts";

export function fakeDiscovery(path: string): { code: number; body: string } {
  if (path === "/apis") {
    const named = groups().filter((g) => g.name !== "");
    const versions = named.map((g) => g.versions.map((v) => ({ groupVersion: `${g.name}/${v}`, version: v })));
    return ok({
      groups: named.map((g, i) => ({ name: g.name, versions: versions[i], preferredVersion: versions[i]?.[0] })),
    });
  }
  const groupVersion = path.replace(/^\/apis?\//, "");
  const found = resources().filter((r) => apiVersionOf(r) === groupVersion && r.verbs.length > 0);
  if (found.length === 0) return { code: 404, body: "" };
  return ok({
    resources: found.map(({ resource, kind, namespaced, verbs }) => ({ name: resource, kind, namespaced, verbs })),
  });
}

const ok = (document: object) => ({ code: 200, body: JSON.stringify(document) });
