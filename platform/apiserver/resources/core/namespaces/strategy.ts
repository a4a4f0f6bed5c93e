/** Namespaces: end in two steps, first emptied by the namespace controller, then finalized. */
import type { Namespace } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { forbidden } from "#sdk/api/status.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import { validateFinalizerName } from "../../../registry/meta.ts";
import { nameIsDNSLabel } from "../../../registry/names.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";

/** Deleting one of these would take the cluster's own parts away. */
const PERMANENT = new Set(["default", "kube-system", "kube-public"]);

export const namespaceStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    validateName: nameIsDNSLabel,
    generation: false,
    returnsDeletedObject: true,
    applyDefaults(object) {
      const { name } = object.metadata;
      if (name) object.metadata.labels = { ...object.metadata.labels, "kubernetes.io/metadata.name": name };
      const namespace = as<Namespace>(object);
      namespace.status ??= {};
      namespace.status.phase ||= "Active";
    },
    prepareForCreate(object) {
      const namespace = as<Namespace>(object);
      namespace.status = { phase: "Active" };
      const finalizers = namespace.spec?.finalizers ?? [];
      namespace.spec = { finalizers: finalizers.includes("kubernetes") ? finalizers : [...finalizers, "kubernetes"] };
    },
    validate: (object) =>
      (as<Namespace>(object).spec?.finalizers ?? []).flatMap((name) => validateFinalizerName(name, "spec.finalizers")),
    prepareForUpdate(next, old) {
      // Finalizers change through the finalize subresource only.
      next.spec = structuredClone(old.spec);
    },
    checkDelete(object) {
      const { name = "" } = object.metadata;
      if (PERMANENT.has(name)) throw forbidden(facts, name, "this namespace may not be deleted");
    },
    holdsDeletion: (object) => (as<Namespace>(object).spec?.finalizers ?? []).length > 0,
    markDeleted(object) {
      const namespace = as<Namespace>(object);
      namespace.status = { ...namespace.status, phase: "Terminating" };
    },
    fieldNames: ["status.phase"],
    fields: (object) => ({ "status.phase": as<Namespace>(object).status?.phase ?? "" }),
    views: {
      finalize: {
        prepareForUpdate(next, old) {
          next.status = structuredClone(old.status);
        },
      },
    },
  });
