/** Tables of device claims and slices, of PodGroups, and of storage version migrations. */
import type { PodGroup, ResourceClaim, ResourceSlice, StorageVersionMigration } from "#sdk/api/generated/types.ts";
import { since } from "./format.ts";
import { AGE, NAME, nameOf, printer, text } from "./printer.ts";

function stateOf({ metadata, status }: ResourceClaim): string {
  const ends = metadata.deletionTimestamp !== undefined;
  const states = ends ? ["deleted"] : [];
  if (!status?.allocation) return [...states, ...(ends ? [] : ["pending"])].join(",");
  return [...states, "allocated", ...(status.reservedFor?.length ? ["reserved"] : [])].join(",");
}

export const resourceClaims = printer<ResourceClaim>({
  columns: [NAME, ...text("State"), AGE],
  cells: (o, now) => [nameOf(o), stateOf(o), since(o.metadata.creationTimestamp, now)],
});

/** Of a bookmark there is nothing but its revision. */
type Shown = Omit<ResourceSlice, "spec"> & Partial<Pick<ResourceSlice, "spec">>;

export const resourceSlices = printer<Shown>({
  columns: [NAME, ...text("Node", "Driver", "Pool"), AGE],
  cells: (o, now) => [
    nameOf(o),
    o.spec?.nodeName ?? "",
    o.spec?.driver ?? "",
    o.spec?.pool.name ?? "",
    since(o.metadata.creationTimestamp, now),
  ],
});

function groupStatus({ status }: PodGroup): string {
  const find = (type: string) => status?.conditions?.find((c) => c.type === type);
  const [scheduled, disrupted] = [find("PodGroupScheduled"), find("DisruptionTarget")];
  if (disrupted) return disrupted.reason;
  if (!scheduled) return "Pending";
  return scheduled.status === "True" ? "Scheduled" : "Unschedulable";
}

export const podGroups = printer<PodGroup>({
  columns: [NAME, ...text("Policy", "Workload", "Status"), AGE],
  cells: (o, now) => [
    nameOf(o),
    o.spec?.schedulingPolicy?.gang ? "Gang" : "Basic",
    o.spec?.podGroupTemplateRef?.workload?.workloadName ?? "<none>",
    groupStatus(o),
    since(o.metadata.creationTimestamp, now),
  ],
});

const PHASES = ["Running", "Failed", "Succeeded"];

export const storageVersionMigrations = printer<StorageVersionMigration>({
  columns: text("Name", "Resource", "Status"),
  cells(o) {
    const { group, resource = "" } = o.spec?.resource ?? {};
    const reached = (o.status?.conditions ?? []).filter(
      ({ type, status }) => status === "True" && PHASES.includes(type),
    );
    return [nameOf(o), group ? `${resource}.${group}` : resource, reached.at(-1)?.type ?? "Unknown"];
  },
});
