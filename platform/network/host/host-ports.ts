/**
 * Host ports that outlived their pods. The CNI program portmap puts a chain for each sandbox into the host's nat table and takes it back on
 * DEL; an instance that is stopped or uninstalled stops its pods without one, and its rules would go on taking the ports away from others.
 * What belongs to a sandbox is known by the id in the rule's comment (plugins/meta/portmap, "dnat name: … id: …").
 */
import { mustRun, type RunProgram, runProgram } from "./program.ts";

const ENTRY = "CNI-HOSTPORT-DNAT";
/** Made by portmap with its first rule, and again whenever they are missing. */
const SHARED = /^CNI-HOSTPORT-/;

const target = (rule: string): string => / -j (\S+)/.exec(rule)?.[1] ?? "";
const chainOf = (rule: string): string => rule.split(" ")[1] ?? "";
const deletion = (rule: string): string => rule.replace(/^-A/, "-D");

/** What iptables-restore --noflush must be told, line by line; none when nothing of these sandboxes is there. `saved`: iptables-save -t nat. */
export function hostPortRemoval(saved: string, sandboxIds: ReadonlySet<string>): string[] {
  const rules = saved.split("\n").filter((line) => line.startsWith("-A "));
  const entries = rules.filter((rule) => chainOf(rule) === ENTRY);
  const ours = entries.filter((rule) => sandboxIds.has(/ id: \\?"(\w+)\\?"/.exec(rule)?.[1] ?? ""));
  if (ours.length === 0) return [];
  const chains = [...new Set(ours.map(target))];
  const lines = [
    ...ours.map(deletion),
    ...chains.map((chain) => `-F ${chain}`),
    ...chains.map((chain) => `-X ${chain}`),
  ];
  if (ours.length < entries.length) return lines;
  // Nobody has a host port any more: the way into these chains goes too.
  const shared = saved.split("\n").flatMap((line) => /^:(CNI-HOSTPORT-\S+)/.exec(line)?.[1] ?? []);
  const jumps = rules.filter((rule) => SHARED.test(target(rule)) && !chainOf(rule).startsWith("CNI-"));
  return [
    ...lines,
    ...jumps.map(deletion),
    ...shared.map((chain) => `-F ${chain}`),
    ...shared.map((chain) => `-X ${chain}`),
  ];
}

/** Removes the rules of these sandboxes from the host's namespace; answers whether there were any. Throws in iptables' words. */
export async function removeHostPorts(sandboxIds: ReadonlySet<string>, run: RunProgram = runProgram): Promise<boolean> {
  if (sandboxIds.size === 0) return false;
  const { code, stdout } = await run("iptables-save", ["-t", "nat"]);
  const lines = code === 0 ? hostPortRemoval(stdout, sandboxIds) : [];
  if (lines.length === 0) return false;
  await mustRun(run, "iptables-restore", ["--noflush"], ["*nat", ...lines, "COMMIT", ""].join("\n"));
  return true;
}
