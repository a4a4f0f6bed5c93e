/** APIService: which server answers a group's version (kube-aggregator's apis/apiregistration). */
import { timeText } from "#platform/base/clock.ts";
import type { APIService } from "#sdk/api/generated/types.ts";
import { isDNS1035Label, isDNS1123Subdomain } from "#sdk/api/names.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue, notSupported, required } from "../../registry/causes.ts";
import { genericStrategy, statusView } from "../../registry/generic.ts";
import { nameIsPathSegment } from "../../registry/names.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { each } from "../checks.ts";

const HTTPS_PORT = 443;
const GROUP_PRIORITY_MAX = 20_000;
const VERSION_PRIORITY_MAX = 1000;
const STATUSES = ["True", "False", "Unknown"];

function validate(object: DynamicObject): Causes {
  const { metadata, spec } = as<APIService>(object);
  const { group = "", version = "", service, caBundle, insecureSkipTLSVerify = false } = spec ?? {};
  const [groupPriority, versionPriority] = [spec?.groupPriorityMinimum ?? 0, spec?.versionPriority ?? 0];
  const wanted = `${version}.${group}`;
  const causes: Causes = [];
  if (metadata.name && metadata.name !== wanted) {
    const why = `must be \`spec.version+"."+spec.group\`: ${JSON.stringify(wanted)}`;
    causes.push(invalidValue("metadata.name", metadata.name, why));
  }
  if (group === "" && version !== "v1")
    causes.push(required("spec.group", "only v1 may have an empty group and it better be legacy kube"));
  if (group) causes.push(...each(isDNS1123Subdomain(group), "spec.group", group));
  causes.push(...each(isDNS1035Label(version), "spec.version", version));
  if (groupPriority <= 0 || groupPriority > GROUP_PRIORITY_MAX)
    causes.push(invalidValue("spec.groupPriorityMinimum", groupPriority, "must be positive and less than 20000"));
  if (versionPriority <= 0 || versionPriority > VERSION_PRIORITY_MAX)
    causes.push(invalidValue("spec.versionPriority", versionPriority, "must be positive and less than 1000"));
  if (!service) {
    const bytes = Buffer.from(caBundle ?? "", "base64").length;
    if (bytes > 0)
      causes.push(invalidValue("spec.caBundle", `${bytes} bytes`, "local APIServices may not have a caBundle"));
    if (insecureSkipTLSVerify) {
      const why = "local APIServices may not have insecureSkipTLSVerify";
      causes.push(invalidValue("spec.insecureSkipTLSVerify", insecureSkipTLSVerify, why));
    }
    return causes;
  }
  const port = service.port ?? HTTPS_PORT;
  if (!service.namespace) causes.push(required("spec.service.namespace"));
  if (!service.name) causes.push(required("spec.service.name"));
  if (port < 1 || port > 65535) {
    const why = "port is not valid: must be between 1 and 65535, inclusive";
    causes.push(invalidValue("spec.service.port", port, why));
  }
  if (insecureSkipTLSVerify && caBundle)
    causes.push(invalidValue("spec.insecureSkipTLSVerify", true, "may not be true if caBundle is present"));
  return causes;
}

/** Local ones need nobody to look whether they can be reached. */
function markLocal(object: DynamicObject, now: number): void {
  const service = as<APIService>(object);
  if (service.spec?.service) return;
  const message = "Local APIServices are always available";
  const local = { type: "Available", status: "True", lastTransitionTime: timeText(now), reason: "Local", message };
  service.status = { conditions: [local] };
}

export const apiServiceStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    validateName: nameIsPathSegment,
    allowUnconditionalUpdate: false,
    generation: false,
    applyDefaults(object) {
      const { spec } = as<APIService>(object);
      if (spec?.service) spec.service.port ??= HTTPS_PORT;
    },
    prepareForCreate: (object, { now }) => markLocal(object, now),
    validate,
    validateUpdate: validate,
    views: {
      status: {
        ...statusView,
        validateUpdate: (object) =>
          (as<APIService>(object).status?.conditions ?? []).flatMap(({ status }, i) =>
            STATUSES.includes(status) ? [] : [notSupported(`status.conditions[${i}].status`, status, STATUSES)],
          ),
      },
    },
  });
