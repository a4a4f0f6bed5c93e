/** What the status of a ResourceClaim may say: which devices it has, who uses it, and how the devices are (pkg/apis/resource/validation). */
import { isIP } from "node:net";
import type { AllocationResult, DeviceClaim, ResourceClaim, ResourceClaimStatus } from "#sdk/api/generated/types.ts";
import { type Causes, forbiddenField, invalidValue, required, tooLongValue, tooMany } from "../../registry/causes.ts";
import { oneOf, same } from "../checks.ts";
import { validateConditions } from "../conditions.ts";
import { validateNodeSelector } from "../core/pods/affinity.ts";
import { validateDriverName } from "../storage/csi.ts";
import { validateConfiguration, validateLabelName, validatePoolName, validateRaw, validateSet } from "./devices.ts";
import { validateBinding } from "./slice-devices.ts";

const RESERVED_MAX = 256;
const RESULTS_MAX = 32;
const CONFIGURATIONS_MAX = 64;
const REQUESTS_MAX = 32;
const CONDITIONS_MAX = 8;
const NETWORK_MAX = { interfaceName: 256, hardwareAddress: 128, ips: 16 };
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

const UID = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;
/** Other texts of a uid, which are known but not taken. */
const OTHER_UID =
  /^((urn:uuid:)?[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}|\{[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}\}|[0-9a-f]{32})$/i;
const NORMALIZED =
  "uid must be in RFC 4122 normalized form, `xxxxxxxx-xxxx-xxxx-xxxx-xxxxxxxxxxxx` with lowercase hexadecimal characters";

/** Which share of a device that several claims have. */
function validateShare(uid: string | undefined, field: string): Causes {
  if (uid === undefined || UID.test(uid)) return [];
  if (OTHER_UID.test(uid)) return [invalidValue(field, uid, NORMALIZED)];
  const length = Buffer.byteLength(uid);
  const why = [32, 36, 38, 45].includes(length) ? "invalid UUID format" : `invalid UUID length: ${length}`;
  return [invalidValue(field, uid, `error validating uid: ${why}`)];
}

type Network = NonNullable<NonNullable<ResourceClaimStatus["devices"]>[number]["networkData"]>;

const validateNetwork = ({ interfaceName, hardwareAddress, ips }: Network = {}, at: string): Causes => [
  ...shortText(interfaceName, NETWORK_MAX.interfaceName, `${at}.interfaceName`),
  ...shortText(hardwareAddress, NETWORK_MAX.hardwareAddress, `${at}.hardwareAddress`),
  ...validateSet(
    ips,
    NETWORK_MAX.ips,
    `${at}.ips`,
    (address) => address,
    (address, field) =>
      isInterfaceAddress(address)
        ? []
        : [invalidValue(field, address, "must be a valid address in CIDR form, (e.g. 10.9.8.7/24 or 2001:db8::1/64)")],
  ),
];

const shortText = (text: string | undefined, max: number, field: string): Causes =>
  text !== undefined && Buffer.byteLength(text) > max ? [tooLongValue(field, max)] : [];

function isInterfaceAddress(text: string): boolean {
  const [address = "", bits = "", ...more] = text.split("/");
  const family = isIP(address);
  return more.length === 0 && family !== 0 && /^\d{1,3}$/.test(bits) && Number(bits) <= (family === 4 ? 32 : 128);
}

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
      ...validateBinding(result, field),
      ...validateShare(result.shareID, `${field}.shareID`),
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
    ...validateShare(device.shareID, `${at}.shareID`),
    ...(allocated.has(idOf(device))
      ? []
      : [invalidValue(at, sharedId(device), "must be an allocated device in the claim")]),
    ...((device.conditions?.length ?? 0) > CONDITIONS_MAX
      ? [tooMany(`${at}.conditions`, device.conditions?.length ?? 0, CONDITIONS_MAX)]
      : []),
    ...validateConditions(device.conditions, `${at}.conditions`),
    ...(device.data === undefined ? [] : validateRaw(device.data, `${at}.data`)),
    ...validateNetwork(device.networkData, `${at}.networkData`),
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
