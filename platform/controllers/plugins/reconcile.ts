/** What Plugin objects say beside the counts of their processes: whether they are approved, whether they serve, which versions were. */
import { timeText } from "#platform/base/clock.ts";
import { capabilitiesDigest, capabilitiesText, isApproved } from "#sdk/plugin/approval.ts";
import {
  type Plugin,
  type PluginCondition,
  type PluginHostStatus,
  type PluginRevision,
  type PluginSpec,
  pluginSpecSchema,
} from "#sdk/plugin/manifest.ts";

const REVISIONS_MAX = 5;
const MESSAGE_CHARACTERS_MAX = 1024;

export interface PluginFindings {
  asked: string;
  conditions: PluginCondition[];
  revisions: PluginRevision[];
}

type Finding = Pick<PluginCondition, "type" | "status" | "reason" | "message">;

/** `now`: milliseconds since the epoch. */
export function findings(plugin: Plugin, now: number): PluginFindings {
  const parsed = pluginSpecSchema.safeParse(plugin.spec);
  const before = plugin.status?.revisions ?? [];
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    const message = `${issue?.path.join(".")}: ${issue?.message}`;
    const invalid = { status: "False", reason: "InvalidSpec", message } as const;
    const found: Finding[] = [
      { type: "Approved", ...invalid },
      { type: "Ready", ...invalid },
    ];
    return { asked: "", conditions: conditionsOf(plugin, found, now), revisions: before };
  }
  const spec = parsed.data;
  const found = [approval(plugin, spec), readiness(plugin, spec)];
  return {
    asked: capabilitiesDigest(spec.capabilities),
    conditions: conditionsOf(plugin, found, now),
    revisions: isApproved(spec) ? withRevision(plugin, before, now) : before,
  };
}

function approval(plugin: Plugin, spec: PluginSpec): Finding {
  const type = "Approved";
  if (spec.capabilities.length === 0)
    return { type, status: "True", reason: "NothingAsked", message: "it asks for no capability" };
  const asked = capabilitiesText(spec.capabilities);
  if (isApproved(spec)) return { type, status: "True", reason: "Approved", message: `it may use ${asked}` };
  const approved = [...spec.approved, capabilitiesDigest(spec.capabilities)];
  const command = `kubectl patch plugin ${plugin.metadata.name} --type merge -p '${JSON.stringify({ spec: { approved } })}'`;
  const message = `version ${spec.version} asks for ${asked}; to approve it: ${command}`;
  return { type, status: "False", reason: "ApprovalPending", message };
}

/** The worst that a process says comes first. */
const NOT_READY: [state: string, reason: string][] = [
  ["quarantined", "Quarantined"],
  ["backing-off", "BackingOff"],
  ["waiting-for-approval", "ApprovalPending"],
  ["absent", "NotLoaded"],
];

function readiness(plugin: Plugin, { enabled }: PluginSpec): Finding {
  const type = "Ready";
  if (!enabled) return { type, status: "False", reason: "Disabled", message: "spec.enabled is false" };
  const hosts: [string, PluginHostStatus][] = Object.entries(plugin.status?.hosts ?? {});
  for (const [state, reason] of NOT_READY) {
    // A process that has not yet seen it enabled says nothing of what comes.
    const bad = hosts.find(([, host]) => host.state === state && !host.reason.startsWith("disabled"));
    if (bad) return { type, status: "False", reason, message: `${bad[0]}: ${bad[1].reason}` };
  }
  const starting = hosts.find(([, host]) => host.state !== "serving");
  if (starting)
    return { type, status: "Unknown", reason: "Starting", message: `${starting[0]} is ${starting[1].state}` };
  if (hosts.length === 0) return { type, status: "Unknown", reason: "NotReported", message: "no process runs it yet" };
  const serving = hosts.map(([at]) => at).sort();
  return { type, status: "True", reason: "Serving", message: `in ${serving.join(", ")}` };
}

function conditionsOf(plugin: Plugin, found: readonly Finding[], now: number): PluginCondition[] {
  const { generation } = plugin.metadata;
  return found.map((finding) => {
    const before = plugin.status?.conditions?.find(({ type }) => type === finding.type);
    const lastTransitionTime = before?.status === finding.status ? before.lastTransitionTime : timeText(now);
    const message = finding.message.slice(0, MESSAGE_CHARACTERS_MAX);
    return { ...finding, message, lastTransitionTime, ...(generation ? { observedGeneration: generation } : {}) };
  });
}

/** What makes a version another: not whether it is called, nor what is approved beside what it asks for. */
const versionText = ({ enabled: _, approved: __, ...rest }: Plugin["spec"]): string => JSON.stringify(rest);

function withRevision(plugin: Plugin, before: readonly PluginRevision[], now: number): PluginRevision[] {
  const [newest] = before;
  if (newest && versionText(newest.spec) === versionText(plugin.spec)) return [...before];
  const revision = { revision: (newest?.revision ?? 0) + 1, time: timeText(now), spec: plugin.spec };
  return [revision, ...before].slice(0, REVISIONS_MAX);
}
