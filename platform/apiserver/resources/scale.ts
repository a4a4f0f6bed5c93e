/** The scale subresource (autoscaling/v1 Scale) of whatever has replicas and a selector. */
import type { LabelSelector } from "#sdk/api/generated/types.ts";
import { formatLabelSelector, labelRequirements } from "#sdk/api/labels.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { conflict, invalid, OPTIMISTIC_LOCK } from "#sdk/api/status.ts";
import { invalidValue } from "../registry/causes.ts";
import type { ActionStrategy } from "../registry/strategy.ts";

const SCALE = { group: "autoscaling", version: "v1", kind: "Scale" };

interface Scalable {
  spec?: { replicas?: number; selector?: unknown };
  status?: { replicas?: number };
}

function selectorText(selector: unknown, plain: boolean): string {
  const labels = plain ? { matchLabels: selector as Record<string, string> } : (selector as LabelSelector | undefined);
  const requirements = labelRequirements(labels);
  return requirements ? formatLabelSelector(requirements) : "";
}

function scaleOf(object: DynamicObject, plainSelector: boolean): DynamicObject {
  const { spec, status } = object as unknown as Scalable;
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const selector = selectorText(spec?.selector, plainSelector);
  return {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: spec?.replicas ? { replicas: spec.replicas } : {},
    status: { replicas: status?.replicas ?? 0, ...(selector ? { selector } : {}) },
  };
}

/** `plainSelector`: the selector is a map of labels (ReplicationController). */
export function scaleAction(facts: ResourceFacts, plainSelector = false): ActionStrategy {
  const { group, resource } = facts;
  return {
    async handle({ context, registry, namespace, name, verb, body, produce, dryRun, fieldManager }) {
      if (verb === "get") return scaleOf(await registry.read(context, group, resource, namespace, name), plainSelector);
      const changed = await registry.modify(context, {
        group,
        resource,
        namespace,
        name,
        subresource: "",
        managedAs: "scale",
        reviewed: true,
        dryRun,
        fieldManager,
        async change(object) {
          const shown = scaleOf(object, plainSelector);
          const sent = produce ? produce(structuredClone(shown)) : body;
          if (!sent) return;
          const review = { subresource: "scale", kind: SCALE, namespace, name, oldObject: shown, dryRun };
          const wanted = await registry.admit(context, { group, resource, ...review, object: sent });
          const { resourceVersion, uid } = wanted.metadata;
          if (
            (resourceVersion && resourceVersion !== object.metadata.resourceVersion) ||
            (uid && uid !== object.metadata.uid)
          ) {
            throw conflict(facts, name, OPTIMISTIC_LOCK);
          }
          const replicas = (wanted as unknown as Scalable).spec?.replicas ?? 0;
          if (replicas < 0) {
            const cause = invalidValue("spec.replicas", replicas, "must be greater than or equal to 0");
            throw invalid({ group: "autoscaling", kind: "Scale" }, name, [cause]);
          }
          const { spec } = object as unknown as Scalable;
          if (spec) spec.replicas = replicas;
        },
      });
      return scaleOf(changed, plainSelector);
    },
  };
}
