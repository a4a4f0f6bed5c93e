/** What the status of a ResourceClaim may say: which devices it has, who uses it, and how the devices are (pkg/apis/resource/validation). */
import type { AllocationResult, DeviceClaim, ResourceClaim, ResourceClaimStatus } from "#sdk/api/generated/types.ts";
import { type Causes, forbiddenField, invalidValue, required, tooMany } from "../../registry/causes.ts";
import { oneOf, same } from "../checks.ts";
import { validateConditions } from "../conditions.ts";
import { validateNodeSelector } from "../core/pods/affinity.ts";
import { validateDriverName } from "../storage/csi.ts";
import { validateConfiguration, validateLabelName, validatePoolName, validateSet } from "./devices.ts";

const RESERVED_MAX = 256;
const RESULTS_MAX = 32;
const CONFIGURATIONS_MAX = 64;
const REQUESTS_MAX = 32;
const CONDITIONS_MAX = 8;
const REFERENCE =
  "must be the name of a request in the claim or the name of a request and a subrequest separated by '/'";

/** Requests, and alternatives as "request/alternative". */
export const requestNames = (devices: DeviceClaim | undefined): ReadonlySet<string> =>
  new Set(
    (devices?.requests ?? []).flatMap(({ name = "", firstAvailable }) => [
      name,
      ...(firstAvailable ?? []).map((alternative) => `${name}/${alternative.name}`),
    ]),
  );

export const validateRequestName = (name: string, field: string, names: ReadonlySet<string>): Causes => [
  ...(name.split("/").length > 2 ? [] : name.split("/").flatMap((part) => validateLabelName(part, field))),
  ...(names.has(name) ? [] : [invalidValue(field, name, REFERENCE)]),
];

type Results = NonNullable<AllocationResult["devices"]>;

function validateAllocation(
  { devices, nodeSelector }: AllocationResult,
  at: string,
  names: ReadonlySet<string>,
): Causes {
  const { results, config } = devices ?? {};
  return [
    ...validateSet(results, RESULTS_MAX, `${at}.devices.results`, undefined, (result, field) => [
      ...validateRequestName(result.request ?? "", `${field}.request`, names),
      ...validateDriverName(result.driver, `${field}.driver`),
      ...validatePoolName(result.pool, `${field}.pool`),
      ...validateLabelName(result.device, `${field}.device`),
    ]),
    ...validateSet(config, CONFIGURATIONS_MAX, `${at}.devices.config`, undefined, (one, field) => [
      ...(one.source
        ? oneOf(one.source, `${field}.source`, ["FromClaim", "FromClass"])
        : [required(`${field}.source`)]),
      ...validateSet(
        one.requests,
        REQUESTS_MAX,
        `${field}.requests`,
        (name) => name,
        (name, of) => validateRequestName(name, of, names),
      ),
      ...validateConfiguration(one, field),
    ]),
    ...(nodeSelector ? validateNodeSelector(nodeSelector, `${at}.nodeSelector`) : []),
  ];
}

interface DeviceId {
  driver?: string;
  pool?: string;
  device?: string;
  shareID?: string;
}
const idOf = ({ driver, pool, device, shareID }: DeviceId): string =>
  `${driver}/${pool}/${device}${shareID ? `/${shareID}` : ""}`;

function validateDevices(devices: ResourceClaimStatus["devices"], results: Results["results"]): Causes {
  const allocated = new Set((results ?? []).map(idOf));
  return validateSet(devices, Number.POSITIVE_INFINITY, "status.devices", idOf, (device, at) => [
    ...validateDriverName(device.driver, `${at}.driver`),
    ...validatePoolName(device.pool, `${at}.pool`),
    ...validateLabelName(device.device, `${at}.device`),
    ...(allocated.has(idOf(device))
      ? []
      : [invalidValue(at, sharedId(device), "must be an allocated device in the claim")]),
    ...((device.conditions?.length ?? 0) > CONDITIONS_MAX
      ? [tooMany(`${at}.conditions`, device.conditions?.length ?? 0, CONDITIONS_MAX)]
      : []),
    ...validateConditions(device.conditions, `${at}.conditions`),
  ]);
}

/** As the original prints it. */
const sharedId = ({ driver = "", pool = "", device = "", shareID = "" }: DeviceId) => ({
  Driver: driver,
  Pool: pool,
  Device: device,
  ShareID: shareID,
});

/** The whole of a status as it is to be, against the status before. */
export function validateClaimStatus(claim: ResourceClaim, old: ResourceClaim): Causes {
  const { status, spec, metadata } = claim;
  const field = "status.reservedFor";
  const reserved = status?.reservedFor ?? [];
  const allocation = status?.allocation;
  const causes = [
    ...validateSet(
      reserved,
      RESERVED_MAX,
      field,
      (user) => user.uid ?? "",
      (user, at) => (["resource", "name", "uid"] as const).flatMap((f) => (user[f] ? [] : [required(`${at}.${f}`)])),
    ),
    ...validateDevices(status?.devices, allocation?.devices?.results),
  ];
  const isNew = (user: (typeof reserved)[number]) => !old.status?.reservedFor?.some((known) => same(known, user));
  if (reserved.length > 0 && !allocation)
    causes.push(forbiddenField(field, "may not be specified when `allocated` is not set"));
  else if (metadata.deletionTimestamp && reserved.some(isNew))
    causes.push(
      forbiddenField(
        field,
        "new entries may not be added while `deallocationRequested` or `deletionTimestamp` are set",
      ),
    );
  if (!allocation) return causes;
  if (!old.status?.allocation)
    return [...causes, ...validateAllocation(allocation, "status.allocation", requestNames(spec?.devices))];
  if (!same(allocation, old.status.allocation))
    causes.push(invalidValue("status.allocation", allocation, "field is immutable"));
  return causes;
}
