import { deepEqual } from "node:assert/strict";
import { test } from "node:test";
import type { PodSpec } from "#sdk/api/generated/types.ts";
import { defaultPodSpec } from "./defaults.ts";
import { validatePodSpec } from "./validation.ts";

const container = { name: "c", image: "x" };
/** With its defaults, as the server sees it. */
const told = (more: Partial<PodSpec>) => {
  const spec: PodSpec = structuredClone({ containers: [container], ...more });
  defaultPodSpec(spec);
  return validatePodSpec(spec, "spec").map(
    ({ field, reason }) => `${field?.replace("spec.", "")} ${reason?.replace("FieldValue", "")}`,
  );
};

test("what a pod may be and do on its host is refused by field", () => {
  const sysctls = (...names: string[]) => ({ sysctls: names.map((name) => ({ name, value: "1" })) });
  const own = (securityContext: object) => ({ containers: [{ ...container, securityContext }] });
  const cases: [Partial<PodSpec>, string[]][] = [
    [{ securityContext: sysctls("kernel.shm_rmid_forced", "net/ipv4.tcp_syncookies", "safe-and-unsafe") }, []],
    [
      { securityContext: sysctls("foo-", "bar..", "a.b", "a.b") },
      [0, 1]
        .map((i) => `securityContext.sysctls[${i}].name Invalid`)
        .concat("securityContext.sysctls[3].name Duplicate"),
    ],
    [
      { hostNetwork: true, securityContext: sysctls("net.core.somaxconn") },
      ["securityContext.sysctls[0].name Invalid"],
    ],
    [
      { securityContext: { runAsUser: -1, fsGroup: 2 ** 31 } },
      ["securityContext.fsGroup Invalid", "securityContext.runAsUser Invalid"],
    ],
    [
      { securityContext: { seccompProfile: { type: "Localhost" } } },
      ["securityContext.seccompProfile.localhostProfile Required"],
    ],
    [{ shareProcessNamespace: true, hostPID: true }, ["securityContext.shareProcessNamespace Invalid"]],
    [{ hostUsers: false, hostIPC: true }, ["HostIPC Forbidden"]],
    [own({ procMount: "Unmasked" }), ["containers[0].securityContext.procMount Invalid"]],
    [own({ privileged: true, allowPrivilegeEscalation: false }), ["containers[0].securityContext Invalid"]],
    [own({ runAsNonRoot: true, capabilities: { drop: ["ALL"] } }), []],
  ];
  for (const [spec, expected] of cases) deepEqual(told(spec), expected, JSON.stringify(spec));
});

test("names, resolvers, gates and spreading are refused by field", () => {
  const spread = { maxSkew: 1, topologyKey: "zone", whenUnsatisfiable: "DoNotSchedule" };
  const cases: [Partial<PodSpec>, string[]][] = [
    [{ dnsPolicy: "None" }, ["dnsConfig Required"]],
    [{ dnsConfig: { nameservers: ["here"], searches: ["_x.example.", "."] } }, ["dnsConfig.nameservers[0] Invalid"]],
    [{ hostAliases: [{ ip: "::1", hostnames: ["a_b"] }] }, ["hostAliases[0].hostnames[0] Invalid"]],
    [{ schedulingGates: [{ name: "g" }, { name: "g" }] }, ["schedulingGates[1] Duplicate"]],
    [{ topologySpreadConstraints: [spread] }, []],
    [
      { topologySpreadConstraints: [{ ...spread, maxSkew: 0 }, spread] },
      [
        "topologySpreadConstraints[0].maxSkew Invalid",
        "topologySpreadConstraints[0].{topologyKey, whenUnsatisfiable} Duplicate",
      ],
    ],
    [
      { topologySpreadConstraints: [{ ...spread, whenUnsatisfiable: "ScheduleAnyway", minDomains: 2 }] },
      ["topologySpreadConstraints[0].minDomains Invalid"],
    ],
    [
      {
        hostNetwork: true,
        containers: [{ ...container, ports: [{ containerPort: 80, hostPort: 81, protocol: "TCP" }] }],
      },
      ["containers[0].ports[0].hostPort Invalid"],
    ],
    [{ os: { name: "plan9" }, preemptionPolicy: "Maybe" }, ["preemptionPolicy NotSupported", "os NotSupported"]],
    [{ hostnameOverride: "a.b", hostNetwork: true }, ["hostnameOverride Forbidden"]],
  ];
  for (const [spec, expected] of cases) deepEqual(told(spec), expected, JSON.stringify(spec));
});
