/** What the devices of one claim must have in common, or not (upstream: matchAttribute, distinctAttribute). */
import type { DeviceAttribute, DeviceConstraint } from "#sdk/api/generated/types.ts";
import type { Candidate } from "./pools.ts";

/** Of one claim in one search. What does not hold for some devices does not hold for more of them. */
export interface Constraint {
  /** Whether the device may be added; then it counts until it is removed. `request` is "request" or "request/alternative". */
  add(request: string, candidate: Candidate): boolean;
  remove(request: string): void;
}

/** Undefined for a kind that is not known here. */
export function constraintOf({
  requests = [],
  matchAttribute,
  distinctAttribute,
}: DeviceConstraint): Constraint | undefined {
  const attribute = matchAttribute ?? distinctAttribute;
  if (attribute === undefined) return undefined;
  const concerns = (request: string) =>
    requests.length === 0 || requests.includes(request) || requests.includes(request.split("/")[0] ?? "");
  const values: string[] = [];
  return {
    add(request, candidate) {
      if (!concerns(request)) return true;
      const value = attributeOf(attribute, candidate);
      if (value === undefined) return false;
      const fits = matchAttribute === undefined ? !values.includes(value) : values.length === 0 || values[0] === value;
      if (fits) values.push(value);
      return fits;
    },
    remove(request) {
      // Devices are removed in the opposite order of being added.
      if (concerns(request)) values.pop();
    },
  };
}

/** Text that is the same for the same value of the same type. */
function attributeOf(name: string, { device, slice }: Candidate): string | undefined {
  const [domain, id = ""] = name.split("/");
  const attribute = device.attributes?.[name] ?? (domain === slice.spec.driver ? device.attributes?.[id] : undefined);
  return attribute && scalar(attribute);
}

function scalar({ string, int, bool, version }: DeviceAttribute): string | undefined {
  if (string !== undefined) return `string ${string}`;
  if (int !== undefined) return `int ${int}`;
  if (bool !== undefined) return `bool ${bool}`;
  return version === undefined ? undefined : `version ${version}`;
}
