/** Query parameters of the API's operations, parsed once (metav1's ListOptions, CreateOptions, PatchOptions, DeleteOptions). */
import { badRequest, invalid, type StatusCause, StatusError } from "#sdk/api/status.ts";
import { notSupported, required } from "../registry/causes.ts";
import { parseSelection, type Selection } from "../registry/selectors.ts";
import type { DeleteOptions, ResourceEntry } from "../registry/strategy.ts";

export type FieldValidation = "Strict" | "Warn" | "Ignore";

const LIST_LIMIT_MAX = 10_000;

export function integer(query: URLSearchParams, name: string): number | undefined {
  const text = query.get(name);
  if (text === null || text === "") return undefined;
  if (!/^[-+]?\d+$/.test(text)) throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: invalid syntax`);
  const value = Number(text);
  if (!Number.isSafeInteger(value))
    throw badRequest(`strconv.ParseInt: parsing ${JSON.stringify(text)}: value out of range`);
  return value;
}

/** Go's metav1 conversion: absent and "false" and "0" are false, anything else is true. */
export function flag(query: URLSearchParams, name: string): boolean {
  const text = query.get(name);
  return text !== null && text !== "false" && text !== "0";
}

export interface ListParameters {
  selection: Selection;
  limit: number | undefined;
  continue: string | undefined;
  resourceVersion: string;
  resourceVersionMatch: string;
  timeoutSeconds: number | undefined;
  allowWatchBookmarks: boolean;
  sendInitialEvents: boolean | undefined;
}

const optionsInvalid = (kind: string, causes: StatusCause[]) => invalid({ group: "meta.k8s.io", kind }, "", causes);

export function listParameters(query: URLSearchParams, entry: ResourceEntry, watch: boolean): ListParameters {
  const limit = integer(query, "limit");
  const parameters: ListParameters = {
    selection: parseSelection(query.get("labelSelector") ?? "", query.get("fieldSelector") ?? ""),
    limit: limit === undefined || limit <= 0 ? undefined : Math.min(limit, LIST_LIMIT_MAX),
    continue: query.get("continue") || undefined,
    resourceVersion: query.get("resourceVersion") ?? "",
    resourceVersionMatch: query.get("resourceVersionMatch") ?? "",
    timeoutSeconds: integer(query, "timeoutSeconds"),
    allowWatchBookmarks: flag(query, "allowWatchBookmarks"),
    sendInitialEvents: query.has("sendInitialEvents") ? flag(query, "sendInitialEvents") : undefined,
  };
  checkFieldNames(parameters.selection, entry);
  checkVersions(parameters, watch);
  return parameters;
}

function checkFieldNames({ fields }: Selection, entry: ResourceEntry): void {
  const known = new Set(["metadata.name", "metadata.namespace", ...entry.strategy.fieldNames]);
  for (const { field } of fields) {
    if (known.has(field)) continue;
    if (entry.strategy.fieldNames.length > 0) throw badRequest(`field label not supported: ${field}`);
    throw badRequest(
      `${JSON.stringify(field)} is not a known field selector: only "metadata.name", "metadata.namespace"`,
    );
  }
}

export function parseResourceVersion(text: string): number {
  const wrong = versionError(text);
  if (wrong) throw badRequest(wrong);
  return Number(text);
}

/** As parseResourceVersion; upstream's watches answer 500 without a reason. */
export function parseWatchVersion(text: string): number {
  const wrong = versionError(text);
  if (wrong) throw new StatusError(500, "", `resourceVersion: ${wrong}`);
  return Number(text);
}

const versionError = (text: string): string | undefined =>
  /^\d+$/.test(text) && Number.isSafeInteger(Number(text))
    ? undefined
    : `Invalid value: ${JSON.stringify(text)}: strconv.ParseUint: parsing ${JSON.stringify(text)}: invalid syntax`;

/** ValidateListOptions. */
function checkVersions(p: ListParameters, watch: boolean): void {
  const causes: StatusCause[] = [];
  const match = p.resourceVersionMatch;
  const forbid = (field: string, detail: string) =>
    causes.push({ reason: "FieldValueForbidden", message: `Forbidden: ${detail}`, field });
  if (watch) {
    if (p.sendInitialEvents === undefined && match !== "") {
      forbid(
        "resourceVersionMatch",
        "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided",
      );
    }
    if (p.sendInitialEvents !== undefined && match !== "NotOlderThan") {
      if (match === "")
        forbid("resourceVersionMatch", "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan");
      else causes.push(notSupported("resourceVersionMatch", match, ["NotOlderThan"]));
    }
  } else {
    if (p.sendInitialEvents !== undefined) forbid("sendInitialEvents", "sendInitialEvents is forbidden for list");
    if (match !== "") {
      if (p.continue !== undefined)
        forbid("resourceVersionMatch", "resourceVersionMatch is forbidden when continue is provided");
      if (p.resourceVersion === "")
        forbid("resourceVersionMatch", "resourceVersionMatch is forbidden unless resourceVersion is provided");
      if (match !== "Exact" && match !== "NotOlderThan") {
        causes.push(notSupported("resourceVersionMatch", match, ["Exact", "NotOlderThan", ""]));
      }
      if (match === "Exact" && p.resourceVersion === "0") {
        forbid("resourceVersionMatch", 'resourceVersionMatch "exact" is forbidden for resourceVersion "0"');
      }
    }
  }
  if (causes.length > 0) throw optionsInvalid("ListOptions", causes);
}

export function fieldValidation(query: URLSearchParams, kind: string): FieldValidation {
  const value = query.get("fieldValidation") ?? "";
  if (value === "") return "Warn";
  if (value !== "Strict" && value !== "Warn" && value !== "Ignore") {
    throw optionsInvalid(kind, [notSupported("fieldValidation", value, ["Ignore", "Strict", "Warn"])]);
  }
  return value;
}

const FIELD_MANAGER_LENGTH_MAX = 128;

/** `kind` is the options' kind, for errors. Without the parameter, the name of the user agent up to its slash. */
export function fieldManager(query: URLSearchParams, userAgent: string | undefined, kind: string): string {
  const given = query.get("fieldManager") ?? "";
  if (given.length > FIELD_MANAGER_LENGTH_MAX) {
    throw optionsInvalid(kind, [
      {
        reason: "FieldValueTooLong",
        message: `Too long: may not be more than ${FIELD_MANAGER_LENGTH_MAX} bytes`,
        field: "fieldManager",
      },
    ]);
  }
  return given || (userAgent ?? "").split("/")[0]?.slice(0, FIELD_MANAGER_LENGTH_MAX) || "unknown";
}

/** fieldManager is compulsory for apply. */
export function checkApplyOptions(query: URLSearchParams): void {
  if (!query.get("fieldManager")) {
    throw optionsInvalid("PatchOptions", [required("fieldManager", "is required for apply patch")]);
  }
}

export function dryRun(values: readonly string[], kind: string): boolean {
  for (const value of values) {
    if (value !== "All") throw optionsInvalid(kind, [notSupported("dryRun", values, ["All"])]);
  }
  return values.length > 0;
}

interface SentDeleteOptions {
  gracePeriodSeconds?: unknown;
  propagationPolicy?: unknown;
  orphanDependents?: unknown;
  preconditions?: { uid?: unknown; resourceVersion?: unknown } | null;
  dryRun?: unknown;
}

const text = (value: unknown): string | undefined => (typeof value === "string" ? value : undefined);

/** From the body when there is one, from the query otherwise. */
export function deleteOptions(body: SentDeleteOptions | undefined, query: URLSearchParams): DeleteOptions {
  const sent = body ?? {};
  const grace =
    typeof sent.gracePeriodSeconds === "number" ? sent.gracePeriodSeconds : integer(query, "gracePeriodSeconds");
  const dryRuns = Array.isArray(sent.dryRun) ? sent.dryRun.map(String) : query.getAll("dryRun");
  const orphan =
    typeof sent.orphanDependents === "boolean"
      ? sent.orphanDependents
      : query.has("orphanDependents")
        ? flag(query, "orphanDependents")
        : undefined;
  const policy = text(sent.propagationPolicy) ?? query.get("propagationPolicy") ?? undefined;
  const uid = text(sent.preconditions?.uid);
  const resourceVersion = text(sent.preconditions?.resourceVersion);
  return {
    dryRun: dryRun(dryRuns, "DeleteOptions"),
    ...(grace === undefined ? {} : { gracePeriodSeconds: grace }),
    ...(policy === undefined ? {} : { propagationPolicy: policy }),
    ...(orphan === undefined ? {} : { orphanDependents: orphan }),
    ...(uid === undefined && resourceVersion === undefined ? {} : { preconditions: { uid, resourceVersion } }),
  };
}
