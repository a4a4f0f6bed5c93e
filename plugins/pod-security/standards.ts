/** The Pod Security Standards: which check holds at which level since which version. */
import * as baseline from "./baseline.ts";
import type { LevelVersion } from "./policy.ts";
import * as restricted from "./restricted.ts";
import type { Finding, PodLike } from "./visit.ts";

type Check = (pod: PodLike) => Finding | undefined;
interface Entry {
  /** Ascending: a check as it is since a minor version of Kubernetes 1. */
  versions: readonly [since: number, check: Check][];
  /** Of a restricted check: the baseline check that it makes unnecessary. */
  instead?: string;
}

const { unlessOwnUsers, unlessWindows } = restricted;

/** In the order in which findings are told, baseline first. */
const BASELINE: Readonly<Record<string, Entry>> = {
  appArmorProfile: { versions: [[0, baseline.appArmorProfile]] },
  capabilities: { versions: [[0, baseline.capabilities]] },
  hostNamespaces: { versions: [[0, baseline.hostNamespaces]] },
  hostPathVolumes: { versions: [[0, baseline.hostPathVolumes]] },
  hostPorts: { versions: [[0, baseline.hostPorts]] },
  hostProbes: { versions: [[34, baseline.hostProbes]] },
  privileged: { versions: [[0, baseline.privileged]] },
  procMount: {
    versions: [
      [0, baseline.procMount],
      [35, baseline.procMountUnlessOwnUsers],
    ],
  },
  seLinuxOptions: {
    versions: [
      [0, baseline.seLinuxOptions],
      [31, baseline.seLinuxOptionsFrom31],
    ],
  },
  seccompProfile: {
    versions: [
      [0, baseline.seccompAnnotations],
      [19, baseline.seccompProfile],
    ],
  },
  sysctls: { versions: [0, 27, 29, 32].map((since) => [since, baseline.sysctlsSince(since)]) },
  windowsHostProcess: { versions: [[0, baseline.windowsHostProcess]] },
};

const RESTRICTED: readonly Entry[] = [
  {
    versions: [
      [8, restricted.allowPrivilegeEscalation],
      [25, unlessWindows(restricted.allowPrivilegeEscalation)],
    ],
  },
  {
    instead: "capabilities",
    versions: [
      [22, restricted.capabilities],
      [25, unlessWindows(restricted.capabilities)],
    ],
  },
  { instead: "procMount", versions: [[35, baseline.procMount]] },
  { instead: "hostPathVolumes", versions: [[0, restricted.volumes]] },
  {
    versions: [
      [0, restricted.runAsNonRoot],
      [35, unlessOwnUsers(restricted.runAsNonRoot)],
    ],
  },
  {
    versions: [
      [23, restricted.runAsUser],
      [35, unlessOwnUsers(restricted.runAsUser)],
    ],
  },
  {
    instead: "seccompProfile",
    versions: [
      [19, restricted.seccompProfile],
      [25, unlessWindows(restricted.seccompProfile)],
    ],
  },
];

const at = ({ versions }: Entry, minor: number): Check | undefined =>
  versions.findLast(([since]) => since <= minor)?.[1];

/** What of a pod the level forbids; none at "privileged". Versions to come mean the newest known. */
export function findings({ level, version }: LevelVersion, pod: PodLike): Finding[] {
  if (level === "privileged") return [];
  const minor = version === "latest" ? Number.POSITIVE_INFINITY : version;
  const more = level === "restricted" ? RESTRICTED.filter((entry) => at(entry, minor) !== undefined) : [];
  const replaced = new Set(more.map(({ instead }) => instead));
  const base = Object.entries(BASELINE).filter(([id]) => !replaced.has(id));
  return [...base.map(([, entry]) => entry), ...more].flatMap((entry) => at(entry, minor)?.(pod) ?? []);
}

/** `privileged (container "a" must not …), hostPort (…)`. */
export const detailText = (found: readonly Finding[]): string =>
  found.map(({ reason, detail }) => (detail === "" ? reason : `${reason} (${detail})`)).join(", ");
export const reasonText = (found: readonly Finding[]): string => found.map(({ reason }) => reason).join(", ");
