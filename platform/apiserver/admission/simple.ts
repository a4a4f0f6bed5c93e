/** Rules of a line or two, all off by default as in upstream. */
import type { Store } from "#platform/store/port.ts";
import { forbidden, notFound } from "#sdk/api/status.ts";
import type { AdmissionAttributes } from "../registry/admission.ts";
import type { AdmissionRule } from "./chain.ts";

/** AlwaysDeny; what the server itself needs to start is let through. */
export const alwaysDeny: AdmissionRule = {
  async validate({ resource, name, object, user }) {
    if (user.name === "system:apiserver") return;
    throw forbidden(resource, name || (object?.metadata.name ?? ""), "admission control is denying all modifications");
  },
};

const isInside = ({ namespace, resource }: AdmissionAttributes): boolean =>
  namespace !== "" && !(resource.group === "" && resource.resource === "namespaces");

async function isThere(store: Store, { tenant, namespace }: AdmissionAttributes): Promise<boolean> {
  const key = { tenant, resource: "namespaces", namespace: "", name: namespace };
  const found =
    (await store.get(key, { type: "atLeast", revision: 0 })) ?? (await store.get(key, { type: "consistent" }));
  return found !== undefined;
}

/** NamespaceExists. */
export const namespaceExists = (store: Store): AdmissionRule => ({
  async validate(attributes) {
    if (attributes.operation === "CONNECT" || !isInside(attributes)) return;
    if (!(await isThere(store, attributes)))
      throw notFound({ group: "", resource: "namespaces" }, attributes.namespace);
  },
});
