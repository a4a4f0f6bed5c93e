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

/** Two lists for iptables-restore --noflush, one after the other; empty when nothing of these sandboxes is there. */
export interface Removal {
  /** Rules: from here on the ports are free. */
  rules: string[];
  /** The chains that are empty then. In one transaction with their rules the kernel may still call them busy. */
  chains: string[];
}

/** `saved`: what iptables-save -t nat printed. */
export function hostPortRemoval(saved: string, sandboxIds: ReadonlySet<string>): Removal {
  const rules = saved.split("\n").filter((line) => line.startsWith("-A "));
  const entries = rules.filter((rule) => chainOf(rule) === ENTRY);
  const ours = entries.filter((rule) => sandboxIds.has(/ id: \\?"(\w+)\\?"/.exec(rule)?.[1] ?? ""));
  if (ours.length === 0) return { rules: [], chains: [] };
  // With the last one the way into these chains goes too.
  const last = ours.length === entries.length;
  const shared = last ? saved.split("\n").flatMap((line) => /^:(CNI-HOSTPORT-\S+)/.exec(line)?.[1] ?? []) : [];
  const jumps = last ? rules.filter((rule) => SHARED.test(target(rule)) && !chainOf(rule).startsWith("CNI-")) : [];
  const chains = [...new Set(ours.map(target)), ...shared];
  return {
    rules: [...[...ours, ...jumps].map((rule) => rule.replace(/^-A/, "-D")), ...chains.map((chain) => `-F ${chain}`)],
    chains: chains.map((chain) => `-X ${chain}`),
  };
}

const transaction = (lines: readonly string[]): string => ["*nat", ...lines, "COMMIT", ""].join("\n");

/** Removes the rules of these sandboxes from the host's namespace; answers whether there were any. Throws in iptables' words. */
export async function removeHostPorts(sandboxIds: ReadonlySet<string>, run: RunProgram = runProgram): Promise<boolean> {
  if (sandboxIds.size === 0) return false;
  const removed = [await removeFrom("iptables", sandboxIds, run), await removeFrom("ip6tables", sandboxIds, run)];
  return removed.some(Boolean);
}

async function removeFrom(
  program: "iptables" | "ip6tables",
  ids: ReadonlySet<string>,
  run: RunProgram,
): Promise<boolean> {
  const { code, stdout } = await run(`${program}-save`, ["-t", "nat"]);
  if (code !== 0) return false;
  const { rules, chains } = hostPortRemoval(stdout, ids);
  if (rules.length === 0) return false;
  await mustRun(run, `${program}-restore`, ["--noflush"], transaction(rules));
  // An empty chain harms nobody: somebody else's rule may have come into a shared one meanwhile.
  await run(`${program}-restore`, ["--noflush"], { input: transaction(chains) });
  return true;
}
