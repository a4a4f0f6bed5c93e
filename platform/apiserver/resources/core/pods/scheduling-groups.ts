/** Pods and templates of pods keep the group that they are scheduled with (spec.schedulingGroup) where the feature GenericWorkload is on. */
import type { Pod, PodSpec } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { groupResource } from "../../../registry/catalog.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";

interface Templated {
  spec?: { template?: { spec?: PodSpec }; jobTemplate?: { spec?: { template?: { spec?: PodSpec } } } };
  template?: { spec?: PodSpec };
}

const ofTemplate = (object: DynamicObject) => as<Templated>(object).spec?.template?.spec;
/** Where the pod's spec is, by resource. */
const SPECS: Readonly<Record<string, (object: DynamicObject) => PodSpec | undefined>> = {
  pods: (object) => as<Pod>(object).spec,
  podtemplates: (object) => as<Templated>(object).template?.spec,
  replicationcontrollers: ofTemplate,
  "replicasets.apps": ofTemplate,
  "deployments.apps": ofTemplate,
  "statefulsets.apps": ofTemplate,
  "daemonsets.apps": ofTemplate,
  "jobs.batch": ofTemplate,
  "cronjobs.batch": (object) => as<Templated>(object).spec?.jobTemplate?.spec?.template?.spec,
};

/** The strategy, which otherwise drops what it does not know to be on. */
export function keepingGroups(group: string, resource: string, strategy: Strategy): Strategy {
  const specOf = SPECS[groupResource(group, resource)];
  if (!specOf) return strategy;
  const keeping = (object: DynamicObject, prepare: () => void) => {
    const kept = specOf(object)?.schedulingGroup;
    prepare();
    const spec = specOf(object);
    if (kept && spec) spec.schedulingGroup = kept;
  };
  return {
    ...strategy,
    prepareForCreate: (object, context) => keeping(object, () => strategy.prepareForCreate?.(object, context)),
    prepareForUpdate: (next, old, context) => keeping(next, () => strategy.prepareForUpdate?.(next, old, context)),
  };
}
