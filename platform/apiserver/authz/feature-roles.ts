/** What upstream's default roles allow besides where a feature is on (bootstrappolicy). */
import type { DynamicObject } from "#sdk/api/object.ts";
import type { Catalog } from "../registry/catalog.ts";

const READ = ["get", "list", "watch"];
const WRITE = ["create", "delete", "deletecollection", "patch", "update"];
const rule = (resources: string[], verbs: string[]) => ({ apiGroups: ["scheduling.k8s.io"], resources, verbs });

/** GenericWorkload, by role. */
const WORKLOADS: Readonly<Record<string, object[]>> = {
  "system:aggregate-to-view": [rule(["podgroups", "podgroups/status", "workloads"], READ)],
  "system:aggregate-to-edit": [rule(["podgroups", "workloads"], WRITE)],
  "system:controller:resource-claim-controller": [
    rule(["podgroups"], READ),
    rule(["podgroups/status"], ["patch", "update"]),
  ],
  "system:kube-scheduler": [rule(["podgroups"], READ), rule(["podgroups/status"], ["patch", "update"])],
};

export function withFeatureRules(roles: readonly DynamicObject[], catalog: Catalog): readonly DynamicObject[] {
  if (!catalog.find("scheduling.k8s.io", "v1alpha2", "podgroups")) return roles;
  return roles.map((role) => {
    const more = WORKLOADS[role.metadata.name ?? ""];
    return more ? ({ ...role, rules: [...((role["rules"] as object[]) ?? []), ...more] } as DynamicObject) : role;
  });
}
