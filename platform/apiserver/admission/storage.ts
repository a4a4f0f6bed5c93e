/** StorageObjectInUseProtection: what may be in use when it is deleted is held by a finalizer that a controller takes away. */
import { groupResource } from "../registry/catalog.ts";
import type { AdmissionRule } from "./chain.ts";

const FINALIZERS: Readonly<Record<string, string>> = {
  persistentvolumes: "kubernetes.io/pv-protection",
  persistentvolumeclaims: "kubernetes.io/pvc-protection",
  "volumeattributesclasses.storage.k8s.io": "kubernetes.io/vac-protection",
};

export const storageProtection: AdmissionRule = {
  async mutate({ operation, subresource, resource, object }) {
    const finalizer = FINALIZERS[groupResource(resource.group, resource.resource)];
    if (operation !== "CREATE" || subresource !== "" || finalizer === undefined) return;
    const present = object.metadata.finalizers ?? [];
    if (!present.includes(finalizer)) object.metadata.finalizers = [...present, finalizer];
  },
};
