import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { Container, PodSpec } from "#sdk/api/generated/types.ts";
import { detailText, findings } from "./standards.ts";
import type { PodLike } from "./visit.ts";

type Context = NonNullable<Container["securityContext"]>;
const spec = (context: Context, more: Partial<PodSpec> = {}): PodLike => ({
  spec: { containers: [{ name: "a", securityContext: context }], ...more },
});
const told = (level: "baseline" | "restricted", version: number | "latest", pod: PodLike): string =>
  detailText(findings({ level, version }, pod));

const strict: Context = {
  allowPrivilegeEscalation: false,
  runAsNonRoot: true,
  capabilities: { drop: ["ALL"] },
  seccompProfile: { type: "RuntimeDefault" },
};

test("a pod that asks for nothing passes baseline, and is told all that restricted asks for", () => {
  equal(told("baseline", "latest", spec({})), "");
  equal(
    told("restricted", "latest", spec({})),
    'allowPrivilegeEscalation != false (container "a" must set securityContext.allowPrivilegeEscalation=false), ' +
      'unrestricted capabilities (container "a" must set securityContext.capabilities.drop=["ALL"]), ' +
      'runAsNonRoot != true (pod or container "a" must set securityContext.runAsNonRoot=true), ' +
      'seccompProfile (pod or container "a" must set securityContext.seccompProfile.type to "RuntimeDefault" or "Localhost")',
  );
  equal(told("restricted", "latest", spec(strict)), "");
});

test("what baseline forbids is told in upstream's words", () => {
  const bad: PodLike = {
    metadata: { annotations: { "container.apparmor.security.beta.kubernetes.io/a": "unconfined" } },
    spec: {
      hostNetwork: true,
      hostPID: true,
      volumes: [{ name: "root", hostPath: { path: "/" } }],
      securityContext: { sysctls: [{ name: "kernel.msgmax", value: "1" }], seLinuxOptions: { user: "u" } },
      containers: [
        { name: "a", securityContext: { privileged: true }, ports: [{ containerPort: 1, hostPort: 80 }] },
        { name: "b", livenessProbe: { httpGet: { port: 1, host: "h" } } },
      ],
    },
  };
  equal(
    told("baseline", "latest", bad),
    'forbidden AppArmor profile (annotation must not set AppArmor profile type to "container.apparmor.security.beta.kubernetes.io/a="unconfined""), ' +
      'host namespaces (hostNetwork=true, hostPID=true), hostPath volumes (volume "root"), hostPort (container "a" uses hostPort 80), ' +
      'probe or lifecycle host (container "b" uses probe or lifecycle host "h"), ' +
      'privileged (container "a" must not set securityContext.privileged=true), ' +
      "seLinuxOptions (pod set forbidden securityContext.seLinuxOptions: user may not be set), forbidden sysctls (kernel.msgmax)",
  );
});

test("a version says which checks there were, and in which form", () => {
  const versions = (level: "baseline" | "restricted", pod: PodLike, of: (number | "latest")[]) =>
    of.map((version) => findings({ level, version }, pod).length > 0);
  const tcp = spec({}, { securityContext: { sysctls: [{ name: "net.ipv4.tcp_rmem", value: "1" }] } });
  deepEqual(versions("baseline", tcp, [31, 32, "latest"]), [true, false, false]);
  const probe: PodLike = { spec: { containers: [{ name: "a", livenessProbe: { httpGet: { port: 1, host: "h" } } }] } };
  deepEqual(versions("baseline", probe, [33, 34, 99]), [false, true, true]);
  const root = spec({ ...strict, runAsUser: 0 }, { hostUsers: false });
  deepEqual(versions("restricted", root, [22, 23, 34, 35]), [false, true, true, false]);
  const { capabilities: _, ...windows } = strict;
  deepEqual(versions("restricted", spec(windows, { os: { name: "windows" } }), [24, 25]), [true, false]);
});

test("a check of restricted takes the place of baseline's about the same", () => {
  const volume = spec(strict, { volumes: [{ name: "v", hostPath: { path: "/" } }] });
  equal(
    told("restricted", "latest", volume),
    'restricted volume types (volume "v" uses restricted volume type "hostPath")',
  );
});
