/**
 * The boundary between tenants: nodes are shared, so pods of every tenant but root are held to the baseline of the Pod Security Standards,
 * whatever the tenant's own objects say, and services to addresses of their own. Root grants exceptions by name (spec.exceptions of the Tenant).
 * `podNetwork` is kept by the nodes too (platform/network/policy): tenants' pods do not reach each other.
 */
import { canonicalAddress } from "#platform/rules/ranges.ts";
import { ROOT_TENANT, type Store, type TenantId } from "#platform/store/port.ts";
import type { Container, EndpointSlice, Endpoints, Pod, PodSpec, Service, Tenant } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { forbidden } from "#sdk/api/status.ts";
import { LOOP_GROUPS } from "../authz/rbac.ts";
import type { UserInfo } from "../registry/admission.ts";
import type { AdmissionRule } from "./chain.ts";

export const BOUNDARY_RULES = [
  "hostNamespaces",
  "privileged",
  "capabilities",
  "hostPath",
  "hostPorts",
  "procMount",
  "seccomp",
  "appArmor",
  "seLinux",
  "sysctls",
  "hostProcess",
  "hostProbes",
  "externalIPs",
  "priority",
  "podNetwork",
] as const;
export type BoundaryRule = (typeof BOUNDARY_RULES)[number];
type Finding = [rule: BoundaryRule, what: string];

/** Above are the priorities of root's own components. */
const PRIORITY_MAX = 1_000_000_000;

const CAPABILITIES = new Set(
  "AUDIT_WRITE CHOWN DAC_OVERRIDE FOWNER FSETID KILL MKNOD NET_BIND_SERVICE SETFCAP SETGID SETPCAP SETUID SYS_CHROOT".split(
    " ",
  ),
);
const SYSCTLS = new Set([
  "kernel.shm_rmid_forced",
  "net.ipv4.ip_local_port_range",
  "net.ipv4.ip_unprivileged_port_start",
  "net.ipv4.tcp_syncookies",
  "net.ipv4.ping_group_range",
  "net.ipv4.ip_local_reserved_ports",
  "net.ipv4.tcp_keepalive_time",
  "net.ipv4.tcp_fin_timeout",
  "net.ipv4.tcp_keepalive_intvl",
  "net.ipv4.tcp_keepalive_probes",
  "net.ipv4.tcp_rmem",
  "net.ipv4.tcp_wmem",
]);
const SELINUX_TYPES = new Set(["", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"]);
const APPARMOR_ANNOTATION = "container.apparmor.security.beta.kubernetes.io/";

type Contexts = NonNullable<Container["securityContext"] | PodSpec["securityContext"]>;

/** What pods and containers have in common. */
function contextFindings(context: Contexts | undefined, where: string): Finding[] {
  if (!context) return [];
  const found: Finding[] = [];
  if (context.seccompProfile?.type === "Unconfined") found.push(["seccomp", `${where} has seccompProfile Unconfined`]);
  if (context.appArmorProfile?.type === "Unconfined")
    found.push(["appArmor", `${where} has appArmorProfile Unconfined`]);
  if (context.windowsOptions?.hostProcess) found.push(["hostProcess", `${where} is a host process`]);
  const { type = "", user, role } = context.seLinuxOptions ?? {};
  if (!SELINUX_TYPES.has(type) || user || role) found.push(["seLinux", `${where} sets SELinux options`]);
  return found;
}

function containerFindings(container: Container): Finding[] {
  const where = `container ${JSON.stringify(container.name)}`;
  const { securityContext: context, ports, lifecycle } = container;
  const found = contextFindings(context, where);
  if (context?.privileged) found.push(["privileged", `${where} is privileged`]);
  const added = (context?.capabilities?.add ?? []).filter((name) => !CAPABILITIES.has(name));
  if (added.length > 0) found.push(["capabilities", `${where} adds ${added.join(", ")}`]);
  if (context?.procMount && context.procMount !== "Default") found.push(["procMount", `${where} has procMount`]);
  if (ports?.some((port) => (port.hostPort ?? 0) !== 0)) found.push(["hostPorts", `${where} has a hostPort`]);
  const handlers = [
    container.livenessProbe,
    container.readinessProbe,
    container.startupProbe,
    lifecycle?.postStart,
    lifecycle?.preStop,
  ];
  if (handlers.some((handler) => handler?.httpGet?.host || handler?.tcpSocket?.host))
    found.push(["hostProbes", `${where} has a probe or handler of another host`]);
  return found;
}

/** Pure: what of a pod crosses the boundary. */
export function podFindings(pod: Pick<Pod, "metadata" | "spec">): Finding[] {
  const { spec } = pod;
  if (!spec) return [];
  const found = contextFindings(spec.securityContext, "the pod");
  if (spec.hostNetwork || spec.hostPID || spec.hostIPC)
    found.push(["hostNamespaces", "the pod uses the host's namespaces"]);
  for (const volume of spec.volumes ?? [])
    if (volume.hostPath) found.push(["hostPath", `volume ${JSON.stringify(volume.name)} is a path of the host`]);
  const sysctls = (spec.securityContext?.sysctls ?? []).map(({ name }) => name).filter((name) => !SYSCTLS.has(name));
  if (sysctls.length > 0) found.push(["sysctls", `the pod sets ${sysctls.join(", ")}`]);
  for (const [key, value] of Object.entries(pod.metadata.annotations ?? {}))
    if (key.startsWith(APPARMOR_ANNOTATION) && value === "unconfined")
      found.push(["appArmor", "the pod has AppArmor unconfined"]);
  if ((spec.priority ?? 0) > PRIORITY_MAX) found.push(["priority", `the pod's priority is above ${PRIORITY_MAX}`]);
  const ephemeral = (spec.ephemeralContainers ?? []) as readonly Container[];
  const containers: Container[] = [...(spec.initContainers ?? []), ...(spec.containers ?? []), ...ephemeral];
  return [...found, ...containers.flatMap(containerFindings)];
}

function findings(group: string, resource: string, object: DynamicObject): Finding[] {
  const of = <T>() => object as unknown as T;
  if (group === "" && resource === "pods") return podFindings(of<Pod>());
  if (group === "" && resource === "services") {
    const addresses = of<Service>().spec?.externalIPs ?? [];
    return addresses.map((address) => ["externalIPs", `the service takes the address ${address}`]);
  }
  return [];
}

/** Addresses that hand-made endpoints name. Those of the platform's loops are of the tenant's own pods. */
function endpointAddresses(group: string, resource: string, object: DynamicObject): string[] {
  const of = <T>() => object as unknown as T;
  if (group === "discovery.k8s.io" && resource === "endpointslices")
    return (of<EndpointSlice>().endpoints ?? []).flatMap(({ addresses }) => addresses);
  if (group !== "" || resource !== "endpoints") return [];
  return (of<Endpoints>().subsets ?? []).flatMap(({ addresses, notReadyAddresses }) =>
    [...(addresses ?? []), ...(notReadyAddresses ?? [])].map(({ ip }) => ip),
  );
}

/** Load balancers and proxies of the platform reach every pod: what a tenant's services lead to must not be another's. */
async function foreignPods(store: Store, tenant: TenantId, addresses: readonly string[]): Promise<Finding[]> {
  if (addresses.length === 0) return [];
  const wanted = new Set(addresses.map(canonicalAddress));
  const found = (fields: Readonly<Record<string, string>>) =>
    (fields["status.podIPs"] ?? "").split(",").filter((address) => wanted.has(address));
  const { objects } = await store.list({
    scope: { tenant: "*", resource: "pods" },
    freshness: { type: "atLeast", revision: 0 },
    matcher: ({ fields }) => found(fields).length > 0,
  });
  const foreign = objects.filter(
    ({ key, fields }) => key.tenant !== tenant && ENDED[fields["status.phase"] ?? ""] !== true,
  );
  return [...new Set(foreign.flatMap(({ fields }) => found(fields)))].map((address) => [
    "podNetwork",
    `the endpoint ${address} is another tenant's pod`,
  ]);
}

const ENDED: Readonly<Record<string, boolean>> = { Succeeded: true, Failed: true };
const isLoop = (user: UserInfo): boolean =>
  user.tenant === ROOT_TENANT && LOOP_GROUPS.some((group) => user.groups.includes(group));

/** Looks at what all other rules, components and webhooks made of the object: nothing of the tenant comes after it. */
export function tenantBoundary(store: Store): AdmissionRule {
  async function exceptions(tenantName: string): Promise<ReadonlySet<string>> {
    const key = { tenant: ROOT_TENANT, resource: "tenants.capstan.dev", namespace: "", name: tenantName };
    const stored = await store.get(key, { type: "consistent" });
    const spec = stored && (JSON.parse(stored.document) as Tenant).spec;
    return new Set(spec?.exceptions ?? []);
  }
  return {
    async validate({ tenant, tenantName, operation, resource, subresource, object, oldObject, name, user }) {
      if (tenant === ROOT_TENANT || !object || subresource === "status") return;
      if (operation !== "CREATE" && operation !== "UPDATE") return;
      const of = (one: DynamicObject) => findings(resource.group, resource.resource, one);
      // What was let in stays what it is, so that its metadata may still change.
      const before = new Set(oldObject ? of(oldObject).map(([, what]) => what) : []);
      const endpoints = isLoop(user) ? [] : endpointAddresses(resource.group, resource.resource, object);
      const found = [
        ...of(object).filter(([, what]) => !before.has(what)),
        ...(await foreignPods(store, tenant, endpoints)),
      ];
      if (found.length === 0) return;
      const granted = await exceptions(tenantName);
      const crossing = found.filter(([rule]) => !granted.has(rule));
      if (crossing.length === 0) return;
      const why = crossing.map(([rule, what]) => `${what} (${rule})`).join("; ");
      throw forbidden(resource, name || (object.metadata.name ?? ""), `tenants share nodes: ${why}`);
    },
  };
}
