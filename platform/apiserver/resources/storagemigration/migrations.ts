/** StorageVersionMigrations (storagemigration.k8s.io/v1beta1): which resource is to be written anew. Served where `--runtime-config` asks for it. */
import type { StorageVersionMigration } from "#sdk/api/generated/types.ts";
import { isDNS1035Label, isDNS1123Subdomain } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, invalidValue, required } from "../../registry/causes.ts";
import { genericStrategy, statusView } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { each, same } from "../checks.ts";
import { validateConditions } from "../conditions.ts";

function validate({ spec }: StorageVersionMigration): Causes {
  const { group, resource } = spec?.resource ?? {};
  const at = "spec.resource";
  return [
    ...(resource
      ? each(isDNS1035Label(resource), `${at}.resource`, resource)
      : [required(`${at}.resource`, "resource is required to be set")]),
    ...(group ? each(isDNS1123Subdomain(group), `${at}.group`, group) : []),
  ];
}

const isTrue = ({ status }: StorageVersionMigration, type: string): boolean =>
  status?.conditions?.some((c) => c.type === type && c.status === "True") ?? false;

function validateStatus(next: StorageVersionMigration, old: StorageVersionMigration): Causes {
  const { conditions, resourceVersion = "" } = next.status ?? {};
  const before = old.status?.resourceVersion;
  const field = "status.resourceVersion";
  const wrong = (why: string) => [invalidValue("status.conditions", conditions, why)];
  return [
    ...(resourceVersion === "" || /^[1-9]\d*$/.test(resourceVersion)
      ? []
      : [invalidValue(field, resourceVersion, "resource version is not well formed")]),
    ...validateConditions(conditions, "status.conditions"),
    ...(before && before !== resourceVersion ? [invalidValue(field, resourceVersion, "field is immutable")] : []),
    ...(isTrue(next, "Succeeded") && isTrue(next, "Failed")
      ? wrong("Both success and failed conditions cannot be true at the same time")
      : []),
    ...(isTrue(old, "Succeeded") && !isTrue(next, "Succeeded")
      ? wrong("Success condition cannot be set to false once it is true")
      : []),
    ...(isTrue(old, "Failed") && !isTrue(next, "Failed")
      ? wrong("Failed condition cannot be set to false once it is true")
      : []),
  ];
}

export const storageVersionMigrationStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    allowUnconditionalUpdate: false,
    validateName: (name) => isDNS1123Subdomain(name),
    validate: (object) => validate(as<StorageVersionMigration>(object)),
    validateUpdate(next, old) {
      const [after, before] = [as<StorageVersionMigration>(next), as<StorageVersionMigration>(old)];
      return [
        ...validate(after),
        ...(same(after.spec, before.spec) ? [] : [invalidValue("spec", after.spec, "field is immutable")]),
      ];
    },
    views: {
      status: {
        ...statusView,
        validateUpdate: (next, old) =>
          validateStatus(as<StorageVersionMigration>(next), as<StorageVersionMigration>(old)),
      },
    },
  });
