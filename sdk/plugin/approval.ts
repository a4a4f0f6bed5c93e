/**
 * Approval of what a plugin asks for. A person approves the capabilities as they are asked (`spec.approved` holds their digests); a
 * version that asks for others waits, and the version before it goes on serving. Guests never import this file.
 */
import { createHash } from "node:crypto";
import { type Capability, type Plugin, type PluginSpec, pluginSpecSchema, type World } from "./manifest.ts";

/** Keys in order, so that the same grant has the same text however it was written. */
function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (typeof value !== "object" || value === null) return value;
  const sorted = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(sorted.map(([key, inner]) => [key, canonical(inner)]));
}

/** "sha256:HEX" over the capabilities without their reasons; "" where none is asked for, which nobody needs to approve. */
export function capabilitiesDigest(capabilities: readonly Capability[]): string {
  if (capabilities.length === 0) return "";
  const asked = capabilities.map(({ reason: _, ...grant }) => JSON.stringify(canonical(grant))).sort();
  return `sha256:${createHash("sha256").update(asked.join("\n")).digest("hex")}`;
}

export const isApproved = ({ capabilities, approved }: Pick<PluginSpec, "capabilities" | "approved">): boolean =>
  capabilities.length === 0 || approved.includes(capabilitiesDigest(capabilities));

/** What is asked for, in a line that an approver reads: "api (write: services, events), exec (haproxy, ip)". */
export function capabilitiesText(capabilities: readonly Capability[]): string {
  return capabilities.map((c) => `${c.name} (${grantText(c)})`).join(", ") || "nothing";
}

function grantText(c: Capability): string {
  switch (c.name) {
    case "api":
      return `${c.access}: ${[...new Set((c.rules ?? []).flatMap(({ resources }) => resources))].join(", ") || "no rules"}`;
    case "grpc":
      return Object.values(c.sockets).join(", ");
    case "exec":
      return Object.values(c.programs).join(", ");
    case "files":
      return Object.values(c.trees).join(", ");
    case "http":
      return c.origins.join(", ");
    case "net":
      return `table ${c.table}${c.links.length > 0 ? `, links ${c.links.map((one) => `${one}*`).join(", ")}` : ""}`;
    case "mount":
      return [...Object.values(c.trees), ...c.devices.map((one) => `${one}*`)].join(", ");
  }
}

/** Capabilities that reach the node itself, and worlds that serve it or know its users: root's alone (in any tenant they are refused). */
const ROOT_CAPABILITIES: ReadonlySet<Capability["name"]> = new Set(["grpc", "exec", "files", "net", "mount"]);
const TENANT_WORLDS: ReadonlySet<World> = new Set(["filter", "score", "permit", "admission", "controller", "panel"]);

/** Why a plugin of a tenant other than root may not be what it is; undefined: it may. */
export function tenantError(
  spec: Pick<PluginSpec, "capabilities" | "worlds" | "guards" | "projection">,
): string | undefined {
  const world = spec.worlds.find((name) => !TENANT_WORLDS.has(name));
  if (world) return `the world ${world} is root's alone`;
  const capability = spec.capabilities.find(({ name }) => ROOT_CAPABILITIES.has(name));
  if (capability) return `the capability ${capability.name} is root's alone`;
  if (spec.projection["pods"]?.length)
    return "pods on nodes are those of all tenants: they are shown to root's plugins alone";
  if (spec.guards.length > 0) return "guards of the store are root's alone";
  return undefined;
}

/**
 * What of a Plugin object may run: its spec where that is approved, otherwise the newest revision that is (it goes on serving while
 * the new one waits), otherwise nothing. Throws ZodError for a spec that cannot be read.
 */
export function runnable(plugin: Plugin): { asked: PluginSpec; spec?: PluginSpec } {
  const asked = pluginSpecSchema.parse(plugin.spec);
  if (isApproved(asked)) return { asked, spec: asked };
  for (const { spec } of plugin.status?.revisions ?? []) {
    const before = pluginSpecSchema.safeParse(spec);
    if (!before.success) continue;
    // Whether it is called, and what is approved, are the present object's to say.
    const kept = { ...before.data, enabled: asked.enabled, approved: asked.approved };
    if (isApproved(kept)) return { asked, spec: kept };
  }
  return { asked };
}

/** The spec of a kept revision, to be written over the present one (a rollback). Throws where it is not kept. */
export function revisionSpec(plugin: Plugin, revision: number): Plugin["spec"] {
  const found = plugin.status?.revisions?.find((one) => one.revision === revision);
  const kept = (plugin.status?.revisions ?? []).map((one) => one.revision).join(", ") || "none";
  if (!found)
    throw new Error(`revision ${revision} of plugin ${plugin.metadata.name} is not kept (there are: ${kept})`);
  return { ...found.spec, enabled: plugin.spec.enabled ?? true, approved: plugin.spec.approved ?? [] };
}
