/** The APIServices of what this server answers itself: built-in groups in root, and everywhere those of custom resources. */
import { readFileSync } from "node:fs";
import { ROOT_TENANT, type TenantId } from "#platform/store/port.ts";
import { isReason } from "#sdk/api/status.ts";
import { systemContext } from "../bootstrap.ts";
import type { Published } from "../openapi/published.ts";
import type { Registry } from "../registry/registry.ts";

/** Group, version and their priorities, as the original registers them. */
type Row = [group: string, version: string, groupPriority: number, versionPriority: number];
const BUILT_IN = JSON.parse(readFileSync(new URL("./local.generated.json", import.meta.url), "utf8")) as Row[];

const MANAGED = "kube-aggregator.kubernetes.io/automanaged";
const CUSTOM_PRIORITY = { group: 1000, version: 100 };

export interface LocalParts {
  registry(): Registry;
  tenantName(tenant: TenantId): string;
  clock: { now(): number };
}

function rowsFor(tenant: TenantId, custom: readonly Published[]): Map<string, { row: Row; managed: string }> {
  const wanted = new Map<string, { row: Row; managed: string }>();
  const add = (row: Row, managed: string) => wanted.set(`${row[1]}.${row[0]}`, { row, managed });
  if (tenant === ROOT_TENANT) for (const row of BUILT_IN) add(row, "onstart");
  for (const { group, version } of custom)
    add([group, version, CUSTOM_PRIORITY.group, CUSTOM_PRIORITY.version], "true");
  return wanted;
}

/** Makes what is missing and removes what was made for a custom resource that is no more. */
export async function registerLocal(
  { registry, tenantName, clock }: LocalParts,
  tenant: TenantId,
  present: ReadonlyMap<string, { managed: string | undefined }>,
  custom: readonly Published[],
): Promise<void> {
  const entry = registry().catalog.byName("apiregistration.k8s.io", "apiservices");
  if (!entry) return;
  const context = systemContext(tenant, tenantName(tenant), clock.now());
  const wanted = rowsFor(tenant, custom);
  for (const [name, { row, managed }] of wanted) {
    if (present.has(name)) continue;
    const [group, version, groupPriorityMinimum, versionPriority] = row;
    const spec = { ...(group ? { group } : {}), version, groupPriorityMinimum, versionPriority };
    const metadata = { name, labels: { [MANAGED]: managed } };
    const object = { apiVersion: "apiregistration.k8s.io/v1", kind: "APIService", metadata, spec };
    const options = { dryRun: false, fieldManager: "kube-apiserver" };
    await registry()
      .create(context, entry, "", object, options)
      .catch((error: unknown) => ignore(error, "AlreadyExists"));
  }
  for (const [name, { managed }] of present) {
    if (managed !== "true" || wanted.has(name)) continue;
    await registry()
      .delete(context, entry, "", name, { dryRun: false })
      .catch((error: unknown) => ignore(error, "NotFound"));
  }
}

/** Another API server was faster. */
function ignore(error: unknown, reason: "AlreadyExists" | "NotFound"): void {
  if (!isReason(error, reason)) throw error;
}

export const managedOf = (labels: Readonly<Record<string, string>> | undefined): string | undefined =>
  labels?.[MANAGED];
