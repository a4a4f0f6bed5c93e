/** The scale subresource of a custom resource: replicas and selector where its definition says they are. */
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { conflict, internal, invalid, OPTIMISTIC_LOCK } from "#sdk/api/status.ts";
import { invalidValue } from "../registry/causes.ts";
import type { ActionStrategy } from "../registry/strategy.ts";
import type { DefinitionVersion } from "./definition.ts";
import { findAll, parsePath, setAt } from "./json-path.ts";

const SCALE = { group: "autoscaling", version: "v1", kind: "Scale" };
type Paths = NonNullable<NonNullable<DefinitionVersion["subresources"]>["scale"]>;

const numberAt = (object: DynamicObject, path: string): number | undefined => {
  const [value] = findAll(object, parsePath(path) ?? []);
  return typeof value === "number" ? value : undefined;
};

function scaleOf(object: DynamicObject, paths: Paths): DynamicObject {
  const { name, namespace, uid, resourceVersion, creationTimestamp } = object.metadata;
  const replicas = numberAt(object, paths.specReplicasPath);
  if (replicas === undefined)
    throw internal(`the spec replicas field ${JSON.stringify(paths.specReplicasPath)} does not exist`);
  const [selector] = paths.labelSelectorPath ? findAll(object, parsePath(paths.labelSelectorPath) ?? []) : [];
  return {
    kind: "Scale",
    apiVersion: "autoscaling/v1",
    metadata: { name, namespace, uid, resourceVersion, creationTimestamp },
    spec: replicas ? { replicas } : {},
    status: {
      replicas: numberAt(object, paths.statusReplicasPath) ?? 0,
      ...(typeof selector === "string" && selector ? { selector } : {}),
    },
  };
}

export function scaleAction(facts: ResourceFacts, paths: Paths): ActionStrategy {
  const { group, resource } = facts;
  return {
    async handle({ context, registry, namespace, name, verb, body, produce, dryRun, fieldManager }) {
      if (verb === "get") return scaleOf(await registry.read(context, group, resource, namespace, name), paths);
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
          const shown = scaleOf(object, paths);
          const sent = produce ? produce(structuredClone(shown)) : body;
          if (!sent) return;
          const review = { subresource: "scale", kind: SCALE, namespace, name, oldObject: shown, dryRun };
          const wanted = await registry.admit(context, { group, resource, ...review, object: sent });
          const { resourceVersion } = wanted.metadata;
          if (resourceVersion && resourceVersion !== object.metadata.resourceVersion)
            throw conflict(facts, name, OPTIMISTIC_LOCK);
          const replicas = (wanted.spec as { replicas?: number } | undefined)?.replicas ?? 0;
          if (replicas < 0) {
            const cause = invalidValue("spec.replicas", replicas, "should be a non-negative integer");
            throw invalid({ group: "autoscaling", kind: "Scale" }, name, [cause]);
          }
          setAt(object, parsePath(paths.specReplicasPath) ?? [], replicas);
        },
      });
      return scaleOf(changed, paths);
    },
  };
}
