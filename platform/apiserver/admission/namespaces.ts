/** NamespaceLifecycle: nothing is made in a namespace that isn't there or is ending. The store's guard holds it against races. */
import type { Store } from "#platform/store/port.ts";
import { notFound } from "#sdk/api/status.ts";
import { namespaceTerminating } from "../registry/creation.ts";
import type { AdmissionRule } from "./chain.ts";

export function namespaceLifecycle(store: Store): AdmissionRule {
  return {
    async mutate({ tenant, operation, namespace, resource, name }) {
      if (operation !== "CREATE" || namespace === "" || resource.resource === "namespaces") return;
      // Whether a namespace is there is not for everybody who asks what they may do in it.
      if (resource.resource === "localsubjectaccessreviews") return;
      const key = { tenant, resource: "namespaces", namespace: "", name: namespace };
      const stored =
        (await store.get(key, { type: "atLeast", revision: 0 })) ?? (await store.get(key, { type: "consistent" }));
      if (!stored) throw notFound({ group: "", resource: "namespaces" }, namespace);
      if (stored.fields["status.phase"] === "Terminating") throw namespaceTerminating(resource, name, namespace);
    },
  };
}
