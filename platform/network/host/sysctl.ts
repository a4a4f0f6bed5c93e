/** Kernel settings that the network needs. What they were before is written down, so that uninstall can put it back. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { mustRun, type RunProgram } from "./program.ts";

export const IP_FORWARD = "net.ipv4.ip_forward";
export const BRIDGE_FILTER = "net.bridge.bridge-nf-call-iptables";
export const IP6_FORWARD = "net.ipv6.conf.all.forwarding";
export const BRIDGE_FILTER6 = "net.bridge.bridge-nf-call-ip6tables";

/** Setting → value before Capstan changed it. */
export type SysctlRecord = Record<string, string>;

export function readRecord(file: string): SysctlRecord {
  return existsSync(file) ? (JSON.parse(readFileSync(file, "utf8")) as SysctlRecord) : {};
}

function writeRecord(file: string, record: SysctlRecord): void {
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(`${file}.new`, JSON.stringify(record, null, 1));
  renameSync(`${file}.new`, file);
}

/** Undefined when this kernel has no such setting. */
export async function readSysctl(name: string, run: RunProgram): Promise<string | undefined> {
  const result = await run("sysctl", ["-n", name]);
  return result.code === 0 ? result.stdout.trim() : undefined;
}

/** Sets a value; the one before is recorded first (unless it was already). */
export async function setSysctl(name: string, value: string, run: RunProgram, recordFile?: string): Promise<void> {
  const before = await readSysctl(name, run);
  if (before === value) return;
  if (before === undefined) throw new Error(`this kernel has no setting ${name}`);
  if (recordFile !== undefined) {
    const record = readRecord(recordFile);
    if (!(name in record)) writeRecord(recordFile, { ...record, [name]: before });
  }
  await mustRun(run, "sysctl", ["-q", "-w", `${name}=${value}`]);
}

/** Puts recorded values back and forgets them; returns a line for each. */
export async function restoreSysctls(run: RunProgram, recordFile: string): Promise<string[]> {
  const lines: string[] = [];
  for (const [name, value] of Object.entries(readRecord(recordFile))) {
    const result = await run("sysctl", ["-q", "-w", `${name}=${value}`]);
    lines.push(
      result.code === 0
        ? `${name} is ${value} again`
        : `${name} could not be set back to ${value}: ${result.stderr.trim()}`,
    );
  }
  if (lines.length > 0) writeRecord(recordFile, {});
  return lines;
}
