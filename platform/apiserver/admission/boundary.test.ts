import assert from "node:assert/strict";
import { test } from "node:test";
import type { Store, StoredObject } from "#platform/store/port.ts";
import type { Pod } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import type { AdmissionAttributes } from "../registry/admission.ts";
import { podFindings, tenantBoundary } from "./boundary.ts";

const container = (more: object = {}) => ({ name: "c", image: "i", ...more });
const context = (securityContext: object) => container({ securityContext });
const pod = (spec: object = {}, annotations: Record<string, string> = {}): Pod =>
  ({ metadata: { name: "p", annotations }, spec: { containers: [container()], ...spec } }) as unknown as Pod;
const rules = (one: Pod) => podFindings(one).map(([rule]) => rule);
const withContainer = (one: object) => pod({ containers: [one] });

test("a plain pod, and what the baseline lets in, crosses nothing", () => {
  assert.deepEqual(rules(pod()), []);
  assert.deepEqual(rules(withContainer(context({ capabilities: { add: ["NET_BIND_SERVICE"], drop: ["ALL"] } }))), []);
  assert.deepEqual(rules(pod({ securityContext: { sysctls: [{ name: "net.ipv4.tcp_syncookies", value: "1" }] } })), []);
  assert.deepEqual(rules(pod({ securityContext: { seLinuxOptions: { type: "container_t", level: "s0" } } })), []);
  assert.deepEqual(
    rules(withContainer(context({ procMount: "Default", seccompProfile: { type: "RuntimeDefault" } }))),
    [],
  );
  assert.deepEqual(rules(pod({ volumes: [{ name: "v", emptyDir: {} }], priority: 1_000_000_000 })), []);
});

for (const [rule, one] of [
  ["hostNamespaces", pod({ hostNetwork: true })],
  ["hostNamespaces", pod({ hostPID: true })],
  ["hostNamespaces", pod({ hostIPC: true })],
  ["privileged", withContainer(context({ privileged: true }))],
  ["capabilities", withContainer(context({ capabilities: { add: ["SYS_ADMIN"] } }))],
  ["capabilities", withContainer(context({ capabilities: { add: ["ALL"] } }))],
  ["hostPath", pod({ volumes: [{ name: "v", hostPath: { path: "/" } }] })],
  ["hostPorts", withContainer(container({ ports: [{ containerPort: 80, hostPort: 80 }] }))],
  ["procMount", withContainer(context({ procMount: "Unmasked" }))],
  ["seccomp", pod({ securityContext: { seccompProfile: { type: "Unconfined" } } })],
  ["appArmor", withContainer(context({ appArmorProfile: { type: "Unconfined" } }))],
  ["appArmor", pod({}, { "container.apparmor.security.beta.kubernetes.io/c": "unconfined" })],
  ["seLinux", withContainer(context({ seLinuxOptions: { type: "spc_t" } }))],
  ["seLinux", withContainer(context({ seLinuxOptions: { user: "root" } }))],
  ["sysctls", pod({ securityContext: { sysctls: [{ name: "kernel.msgmax", value: "1" }] } })],
  ["hostProcess", withContainer(context({ windowsOptions: { hostProcess: true } }))],
  ["hostProbes", withContainer(container({ livenessProbe: { httpGet: { host: "127.0.0.1", port: 80 } } }))],
  ["hostProbes", withContainer(container({ lifecycle: { preStop: { tcpSocket: { host: "h", port: 80 } } } }))],
  ["priority", pod({ priority: 1_000_000_001 })],
] as const) {
  test(`${rule}: found wherever a pod has containers`, () => {
    assert.deepEqual(rules(one), [rule]);
    const { containers } = one.spec as { containers: object[] };
    if (containers.length === 1 && Object.keys(containers[0] ?? {}).length > 2) {
      assert.deepEqual(rules(pod({ initContainers: containers })), [rule]);
      assert.deepEqual(rules(pod({ ephemeralContainers: containers })), [rule]);
    }
  });
}

/** A store that knows one Tenant. */
const storeWith = (exceptions: string[]): Store =>
  ({
    list: async ({ matcher }: { matcher: (o: { fields: Record<string, string> }) => boolean }) => {
      const pods = [
        { key: { tenant: 2 }, fields: { "status.podIPs": "10.244.0.2", "status.phase": "Running" } },
        { key: { tenant: 3 }, fields: { "status.podIPs": "10.244.0.3,fd00::3", "status.phase": "Running" } },
        { key: { tenant: 3 }, fields: { "status.podIPs": "10.244.0.4", "status.phase": "Failed" } },
      ];
      return { objects: pods.filter(matcher) };
    },
    get: async (key: { tenant: number; name: string }) =>
      key.tenant === 1 && key.name === "acme"
        ? ({ document: JSON.stringify({ spec: { exceptions } }) } as StoredObject)
        : undefined,
  }) as unknown as Store;
const asked = (object: Pod, more: Partial<AdmissionAttributes> = {}): AdmissionAttributes => ({
  tenant: 2,
  tenantName: "acme",
  operation: "CREATE",
  kind: { group: "", version: "v1", kind: "Pod" },
  resource: { group: "", version: "v1", resource: "pods" },
  subresource: "",
  namespace: "default",
  name: "p",
  object: object as unknown as DynamicObject,
  dryRun: false,
  user: { tenant: 2, name: "owner", groups: ["system:masters"] },
  ...more,
});
const privileged = withContainer(context({ privileged: true }));

test("a tenant's pod that crosses is refused whoever makes it, and told why; root's is root's business", async () => {
  const { validate } = tenantBoundary(storeWith([]));
  await assert.rejects(validate?.(asked(privileged)) ?? Promise.resolve(), {
    message: 'pods "p" is forbidden: tenants share nodes: container "c" is privileged (privileged)',
  });
  await validate?.(asked(privileged, { tenant: 1, tenantName: "root" }));
  await validate?.(asked(pod()));
});

test("an exception by name lets its rule through and no other", async () => {
  const { validate } = tenantBoundary(storeWith(["privileged"]));
  await validate?.(asked(privileged));
  const both = withContainer(
    container({ securityContext: { privileged: true }, ports: [{ containerPort: 1, hostPort: 1 }] }),
  );
  await assert.rejects(validate?.(asked(both)) ?? Promise.resolve(), /has a hostPort \(hostPorts\)$/);
});

test("what was let in may change its metadata, and an update or a debug container brings in nothing new", async () => {
  const { validate } = tenantBoundary(storeWith([]));
  const update = { operation: "UPDATE", oldObject: privileged as unknown as DynamicObject } as const;
  await validate?.(asked(privileged, update));
  const debugged = pod({ ephemeralContainers: [context({ privileged: true })] });
  const old = pod() as unknown as DynamicObject;
  const debug = asked(debugged, { operation: "UPDATE", subresource: "ephemeralcontainers", oldObject: old });
  await assert.rejects(validate?.(debug) ?? Promise.resolve(), (error) => isReason(error, "Forbidden"));
});

test("a service of a tenant takes no address of others", async () => {
  const { validate } = tenantBoundary(storeWith([]));
  const service = { metadata: { name: "s" }, spec: { externalIPs: ["192.0.2.1"] } } as unknown as Pod;
  const resource = { group: "", version: "v1", resource: "services" };
  await assert.rejects(validate?.(asked(service, { resource })) ?? Promise.resolve(), /takes the address 192.0.2.1/);
});

test("endpoints that a tenant writes name no other tenant's pod; the platform's loops are not asked, and root may open it", async () => {
  const slice = (address: string) =>
    ({ metadata: { name: "s" }, addressType: "IPv4", endpoints: [{ addresses: [address] }] }) as unknown as Pod;
  const resource = { group: "discovery.k8s.io", version: "v1", resource: "endpointslices" };
  const write = (exceptions: string[], address: string, more: Partial<AdmissionAttributes> = {}) =>
    tenantBoundary(storeWith(exceptions)).validate?.(asked(slice(address), { resource, ...more })) ?? Promise.resolve();
  await assert.rejects(write([], "10.244.0.3"), /the endpoint 10\.244\.0\.3 is another tenant's pod \(podNetwork\)/);
  for (const own of ["10.244.0.2", "10.244.0.4", "192.0.2.7"]) await write([], own);
  await write(["podNetwork"], "10.244.0.3");
  await write([], "10.244.0.3", { user: { tenant: 1, name: "loop", groups: ["capstan:controllers"] } });
  const endpoints = { metadata: { name: "e" }, subsets: [{ addresses: [{ ip: "10.244.0.3" }] }] } as unknown as Pod;
  const core = { group: "", version: "v1", resource: "endpoints" };
  const asEndpoints = asked(endpoints, { resource: core });
  await assert.rejects(tenantBoundary(storeWith([])).validate?.(asEndpoints) ?? Promise.resolve(), /10\.244\.0\.3/);
});
