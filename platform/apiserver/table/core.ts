/** Tables of the core group (pods have their own file), Leases and PriorityClasses. */
import type {
  ComponentStatus,
  ConfigMap,
  ControllerRevision,
  Endpoints,
  Event,
  Lease,
  Namespace,
  Node,
  PriorityClass,
  ResourceQuota,
  RuntimeClass,
  Secret,
  Service,
  ServiceAccount,
} from "#sdk/api/generated/types.ts";
import { labelsText, listWithMore, NONE, since, UNKNOWN } from "./format.ts";
import { AGE, boolean, integer, NAME, nameOf, printer, text, wide } from "./printer.ts";

const size = (map: Record<string, string> | undefined): number => Object.keys(map ?? {}).length;

export const configMaps = printer<ConfigMap>({
  columns: [NAME, ...text("Data"), AGE],
  cells: (o, now) => [nameOf(o), size(o.data) + size(o.binaryData), since(o.metadata.creationTimestamp, now)],
});

export const secrets = printer<Secret>({
  columns: [NAME, ...text("Type", "Data"), AGE],
  cells: (o, now) => [nameOf(o), o.type ?? "", size(o.data), since(o.metadata.creationTimestamp, now)],
});

/** ServiceAccounts, DeviceClasses and others of which there is nothing more to say. */
export const named = printer<ServiceAccount>({
  columns: [NAME, AGE],
  cells: (o, now) => [nameOf(o), since(o.metadata.creationTimestamp, now)],
});

export const namespaces = printer<Namespace>({
  columns: [NAME, ...text("Status"), AGE],
  cells: (o, now) => [nameOf(o), o.status?.phase ?? "", since(o.metadata.creationTimestamp, now)],
});

/** Sorted addresses of a load balancer. */
export function loadBalancerText(ingress: { ip?: string; hostname?: string }[] | undefined): string {
  const found = new Set((ingress ?? []).map((i) => i.ip || i.hostname || "").filter((address) => address !== ""));
  return [...found].sort().join(",");
}

function externalIP({ spec, status }: Service): string {
  const external = spec?.externalIPs ?? [];
  switch (spec?.type) {
    case "ClusterIP":
    case "NodePort":
      return external.join(",") || NONE;
    case "LoadBalancer":
      return [loadBalancerText(status?.loadBalancer?.ingress), ...external].filter(Boolean).join(",") || "<pending>";
    case "ExternalName":
      return spec.externalName ?? "";
    default:
      return UNKNOWN;
  }
}

export const services = printer<Service>({
  columns: [NAME, ...text("Type", "Cluster-IP", "External-IP", "Port(s)"), AGE, ...wide("Selector")],
  cells(o, now) {
    const ports = (o.spec?.ports ?? []).map(
      ({ port, nodePort, protocol }) => `${port}${nodePort ? `:${nodePort}` : ""}/${protocol ?? "TCP"}`,
    );
    return [
      nameOf(o),
      o.spec?.type ?? "",
      o.spec?.clusterIPs?.[0] ?? NONE,
      externalIP(o),
      ports.join(",") || NONE,
      since(o.metadata.creationTimestamp, now),
      labelsText(o.spec?.selector),
    ];
  },
});

const hostPort = (ip: string, port: number): string => (ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`);

export const endpoints = printer<Endpoints>({
  columns: [NAME, ...text("Endpoints"), AGE],
  cells(o, now) {
    const all = (o.subsets ?? []).flatMap(({ addresses = [], ports = [] }) =>
      ports.length === 0
        ? addresses.map((a) => a.ip)
        : ports.flatMap((p) => addresses.map((a) => hostPort(a.ip, p.port))),
    );
    return [nameOf(o), listWithMore(all, 3, o.subsets?.length ? "" : NONE), since(o.metadata.creationTimestamp, now)];
  },
});

const ROLE_PREFIX = "node-role.kubernetes.io/";

function roles(node: Node): string {
  const found = new Set<string>();
  for (const [key, value] of Object.entries(node.metadata.labels ?? {})) {
    if (key.startsWith(ROLE_PREFIX)) found.add(key.slice(ROLE_PREFIX.length));
    else if (key === "kubernetes.io/role") found.add(value);
  }
  found.delete("");
  return [...found].sort().join(",") || NONE;
}

export const nodes = printer<Node>({
  columns: [
    NAME,
    ...text("Status", "Roles"),
    AGE,
    ...text("Version"),
    ...wide("Internal-IP", "External-IP", "OS-Image", "Kernel-Version", "Container-Runtime"),
  ],
  cells(o, now) {
    const ready = o.status?.conditions?.find((condition) => condition.type === "Ready");
    const state = ready === undefined ? "Unknown" : ready.status === "True" ? "Ready" : "NotReady";
    const info = o.status?.nodeInfo;
    const address = (type: string) => o.status?.addresses?.find((a) => a.type === type)?.address ?? NONE;
    const architecture = info?.architecture ? ` (${info.architecture})` : "";
    return [
      nameOf(o),
      o.spec?.unschedulable ? `${state},SchedulingDisabled` : state,
      roles(o),
      since(o.metadata.creationTimestamp, now),
      info?.kubeletVersion ?? "",
      address("InternalIP"),
      address("ExternalIP"),
      info?.osImage || UNKNOWN,
      `${info?.kernelVersion || UNKNOWN}${architecture}`,
      info?.containerRuntimeVersion || UNKNOWN,
    ];
  },
});

export const events = printer<Event>({
  columns: [
    ...text("Last Seen", "Type", "Reason", "Object"),
    ...wide("Subobject", "Source"),
    ...text("Message"),
    ...wide("First Seen", "Count"),
    { ...NAME, priority: 1 },
  ],
  cells(o, now) {
    const first = since(o.firstTimestamp || o.eventTime, now);
    const last = o.lastTimestamp ? since(o.lastTimestamp, now) : first;
    const { kind = "", name, fieldPath } = o.involvedObject ?? {};
    const source = [o.source?.component || o.reportingComponent, o.source?.host || o.reportingInstance];
    return [
      o.series ? since(o.series.lastObservedTime, now) : last,
      o.type ?? "",
      o.reason ?? "",
      name ? `${kind.toLowerCase()}/${name}` : kind.toLowerCase(),
      fieldPath ?? "",
      source[1] ? `${source[0] ?? ""}, ${source[1]}` : (source[0] ?? ""),
      (o.message ?? "").trim(),
      first,
      o.series ? (o.series.count ?? 0) : o.count || 1,
      nameOf(o),
    ];
  },
});

export const resourceQuotas = printer<ResourceQuota>({
  columns: [NAME, ...text("Request", "Limit"), AGE],
  cells(o, now) {
    const { hard = {}, used = {} } = o.status ?? {};
    const lines = Object.keys(hard).sort();
    const shown = (limits: boolean) =>
      lines
        .filter((name) => name.startsWith("limits.") === limits)
        .map((name) => `${name}: ${used[name] ?? "0"}/${hard[name]}`)
        .join(", ");
    return [nameOf(o), shown(false), shown(true), since(o.metadata.creationTimestamp, now)];
  },
});

export const leases = printer<Lease>({
  columns: [NAME, ...text("Holder"), AGE],
  cells: (o, now) => [nameOf(o), o.spec?.holderIdentity ?? "", since(o.metadata.creationTimestamp, now)],
});

export const priorityClasses = printer<PriorityClass>({
  columns: [NAME, ...integer("Value"), ...boolean("Global-Default"), AGE, ...text("PreemptionPolicy")],
  cells: (o, now) => [
    nameOf(o),
    o.value ?? 0,
    o.globalDefault ?? false,
    since(o.metadata.creationTimestamp, now),
    o.preemptionPolicy ?? "",
  ],
});

export const componentStatuses = printer<ComponentStatus>({
  columns: [NAME, ...text("Status", "Message", "Error")],
  cells(o) {
    const healthy = (o.conditions ?? []).find(({ type }) => type === "Healthy");
    const status = healthy ? (healthy.status === "True" ? "Healthy" : "Unhealthy") : "Unknown";
    return [nameOf(o), status, healthy?.message ?? "", healthy?.error ?? ""];
  },
});

export const runtimeClasses = printer<RuntimeClass>({
  columns: [NAME, ...text("Handler"), AGE],
  cells: (o, now) => [nameOf(o), o.handler ?? "", since(o.metadata.creationTimestamp, now)],
});

export const controllerRevisions = printer<ControllerRevision>({
  columns: [NAME, ...text("Controller", "Revision"), AGE],
  cells(o, now) {
    const owner = o.metadata.ownerReferences?.find((reference) => reference.controller);
    const group = owner?.apiVersion.includes("/") ? `.${owner.apiVersion.split("/")[0]}` : "";
    const controller = owner ? `${owner.kind.toLowerCase()}${group}/${owner.name}` : NONE;
    return [nameOf(o), controller, o.revision ?? 0, since(o.metadata.creationTimestamp, now)];
  },
});
