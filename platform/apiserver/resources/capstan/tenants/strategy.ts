/** Tenants: objects of root; creating one makes the logical cluster of that name. */
import { ROOT_TENANT } from "#platform/store/port.ts";
import type { Tenant } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { forbidden } from "#sdk/api/status.ts";
import { type Causes, invalidValue } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import { nameIsDNSLabel } from "../../../registry/names.ts";
import type { Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";

export interface TenantMaker {
  /** Makes the tenant (once) with what every tenant has; its number. */
  create(name: string): Promise<number>;
  /** Retires its number and deletes all it had. Idempotent. */
  remove(name: string): Promise<void>;
}

export const tenantStrategy =
  (maker: TenantMaker) =>
  (facts: ResourceFacts): Strategy =>
    genericStrategy(facts, {
      validateName: nameIsDNSLabel,
      validate(object): Causes {
        const { name } = object.metadata;
        return name === "root" ? [invalidValue("metadata.name", name, "root is the operator's own tenant")] : [];
      },
      async effects({ context, operation, object, dryRun }) {
        if (context.tenant !== ROOT_TENANT)
          throw forbidden(facts, object.metadata.name ?? "", "tenants belong to root");
        if (operation === "delete" && !dryRun) await maker.remove(object.metadata.name ?? "");
        if (operation !== "create" || dryRun) return {};
        const id = await maker.create(object.metadata.name ?? "");
        as<Tenant>(object).status = { phase: "Active", id };
        return {};
      },
    });
