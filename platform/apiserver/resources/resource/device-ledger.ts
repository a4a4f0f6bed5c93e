/**
 * Each device is in the store's books (S3): of two schedulers that give it away at once, one is refused and looks again. Devices are root's:
 * in a tenant nobody of the tenant hands them out (decisions/132).
 */
import { type LedgerChange, ROOT_TENANT } from "#platform/store/port.ts";
import type { ResourceClaim } from "#sdk/api/generated/types.ts";
import { conflict, forbidden } from "#sdk/api/status.ts";
import type { Effects, EffectsRequest } from "../../registry/strategy.ts";
import { as } from "../as.ts";

const CLAIMS = { group: "resource.k8s.io", resource: "resourceclaims" };
/** Who allocates. Others may write what they like, as upstream; it counts. */
const SCHEDULER = "system:kube-scheduler";

type Result = NonNullable<
  NonNullable<NonNullable<NonNullable<ResourceClaim["status"]>["allocation"]>["devices"]>["results"]
>[number];

const resultsOf = (claim: ResourceClaim | undefined): readonly Result[] =>
  claim?.status?.allocation?.devices?.results ?? [];

/** Devices that nobody else may have: not those that are only looked after, or shared. */
const wholeDevices = (claim: ResourceClaim | undefined): ReadonlySet<string> =>
  new Set(
    resultsOf(claim)
      .filter(({ adminAccess, shareID }) => !adminAccess && !shareID)
      .map(({ driver, pool, device }) => `${driver}/${pool}/${device}`),
  );

export async function claimEffects({ context, operation, object, old }: EffectsRequest): Promise<Effects> {
  const [claim, previous] = [as<ResourceClaim>(object), old && as<ResourceClaim>(old)];
  const before = wholeDevices(previous);
  const after: ReadonlySet<string> = operation === "delete" ? new Set() : wholeDevices(claim);
  const { tenant, user } = context;
  const isNew = operation !== "delete" && resultsOf(claim).length > 0 && resultsOf(previous).length === 0;
  if (isNew && tenant !== ROOT_TENANT && user.tenant !== ROOT_TENANT) {
    throw forbidden(CLAIMS, claim.metadata.name ?? "", "devices belong to root, which allocates them");
  }
  const enforce = user.tenant === ROOT_TENANT && user.name === SCHEDULER;
  const change = (id: string, by: 1 | -1): LedgerChange => ({
    tenant: ROOT_TENANT,
    ledger: `device/${id}`,
    delta: { claims: by },
    ...(by === 1 ? { limits: { claims: 1 } } : {}),
    enforce: by === 1 && enforce,
  });
  const taken = [...after].filter((id) => !before.has(id));
  const freed = [...before].filter((id) => !after.has(id));
  if (taken.length + freed.length === 0) return {};
  return {
    ledgers: [...freed.map((id) => change(id, -1)), ...taken.map((id) => change(id, 1))],
    refused: (result) =>
      result.why === "ledger"
        ? conflict(
            CLAIMS,
            claim.metadata.name ?? "",
            `device ${taken[result.ledger - freed.length]} was given to another claim`,
          )
        : undefined,
  };
}
