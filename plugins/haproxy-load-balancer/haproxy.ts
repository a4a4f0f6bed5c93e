/**
 * The HAProxy process: one for all services, a daemon in master-worker mode that nobody's end takes along. A reload is a new
 * process that checks the configuration, takes the listening sockets over from the old one and asks it to end when its
 * connections have ended; when the configuration is wrong the new one gives up and the old one stays.
 */
import { PluginFailure } from "#sdk/plugin/failure.ts";
import { globalFile, MASTER_SOCKET, STATS_SOCKET } from "./configuration.ts";
import type { Host } from "./host.ts";
import { assigned } from "./pool.ts";
import { familyOf } from "./ranges.ts";

const FOLDER = "haproxy.d";
const GLOBAL = "00-global.cfg";
/** sun_path holds 108 bytes; HAProxy binds beside the name first and needs some of them. */
const SOCKET_PATH_BYTES_MAX = 90;
/** Looks for the new process (each takes some milliseconds) before it counts as failed. */
const LOOKS_MAX = 400;

export const servicePath = (key: string): string => `${FOLDER}/service-${key}.cfg`;

/**
 * Processes that listen on our master socket; by the socket and not by a pid file, which may name anybody after a reboot.
 * HAProxy binds beside the name and renames: the kernel goes on showing "master.sock.PID.tmp".
 */
function masters(host: Host): string[] {
  const path = `${host.settings().directory}/${MASTER_SOCKET}`;
  const { exitCode, stdout, stderr } = host.run("ss", { args: ["-xlpHn"] });
  if (exitCode !== 0) throw new PluginFailure("InternalError", `ss: ${stderr.trim()}`, 500);
  const lines = stdout.split("\n").filter((line) => line.includes(` ${path}.`) || line.includes(` ${path} `));
  return [...new Set(lines.flatMap((line) => [...line.matchAll(/"haproxy",pid=(\d+)/g)].map((match) => match[1]!)))];
}

export const isRunning = (host: Host): boolean => masters(host).length > 0;

/** Puts an address on our interface, which is made when it is missing. Idempotent. */
export function ensureAddress(host: Host, address: string): void {
  const { link } = host.settings();
  const ip = (...args: string[]) => host.run("ip", { args });
  if (ip("link", "show", "dev", link).exitCode !== 0)
    must(ip("link", "add", link, "type", "bridge"), `make the interface ${link}`);
  must(ip("address", "replace", ...ofHost(address), "dev", link), `put ${address} on ${link}`);
  must(ip("link", "set", "dev", link, "up"), `set ${link} up`);
}

export function removeAddress(host: Host, address: string): void {
  const [alone = ""] = ofHost(address);
  host.run("ip", { args: ["address", "delete", alone, "dev", host.settings().link] });
}

/** Nobody else is on the interface: there is nobody to ask whether an IPv6 address is taken. */
const ofHost = (address: string): string[] =>
  familyOf(address) === "IPv4" ? [`${address}/32`] : [`${address}/128`, "nodad"];

function must({ exitCode, stderr }: { exitCode: number; stderr: string }, what: string): void {
  if (exitCode !== 0) throw new PluginFailure("ServiceUnavailable", `could not ${what}: ${stderr.trim()}`, 503);
}

/** Starts HAProxy, or replaces the running one without losing a connection. Throws with HAProxy's words; then nothing changed. */
export function reload(host: Host): void {
  const { directory } = host.settings();
  if (new TextEncoder().encode(`${directory}/${MASTER_SOCKET}`).length > SOCKET_PATH_BYTES_MAX)
    throw new PluginFailure(
      "Invalid",
      `the path ${directory} is too long for a socket: start Capstan with a shorter --data-dir`,
      422,
    );
  if (readIfThere(host, `${FOLDER}/${GLOBAL}`) !== globalFile(directory))
    host.files.write("state", `${FOLDER}/${GLOBAL}`, globalFile(directory));
  const old = masters(host);
  // After a reboot the interface is gone, and HAProxy binds all addresses at once.
  if (old.length === 0) for (const address of assigned(host).keys()) ensureAddress(host, address);
  const takeOver = old.length > 0 ? ["-x", `${directory}/${STATS_SOCKET}`, "-sf", ...old] : [];
  const { exitCode, stderr, stdout } = host.run("haproxy", {
    args: ["-W", "-D", "-S", `${directory}/${MASTER_SOCKET},mode,600`, "-f", `${directory}/${FOLDER}`, ...takeOver],
  });
  if (exitCode !== 0)
    throw new PluginFailure("ServiceUnavailable", `HAProxy refused: ${firstAlert(`${stderr}\n${stdout}`)}`, 503);
  // It returns before its master listens; who looks for the master too early would start another one beside it.
  for (let look = 0; look < LOOKS_MAX; look++) if (masters(host).some((pid) => !old.includes(pid))) return;
  throw new PluginFailure(
    "ServiceUnavailable",
    "HAProxy was started and ended at once; its log (syslog, daemon) says why",
    503,
  );
}

const firstAlert = (text: string): string => {
  const lines = text.split("\n").map((line) => line.trim());
  return (
    lines.find((line) => line.includes("[ALERT]")) ??
    lines.find((line) => line !== "") ??
    "no reason given"
  ).slice(0, 400);
};

export function readIfThere(host: Host, path: string): string | undefined {
  const slash = path.lastIndexOf("/");
  const [folder, name] = [path.slice(0, Math.max(slash, 0)), path.slice(slash + 1)];
  return host.files.list("state", folder).includes(name) ? host.files.read("state", path) : undefined;
}

/** Makes a service's file say this (undefined: nothing) and HAProxy follow. Returns whether anything changed. */
export function apply(host: Host, key: string, text: string | undefined): boolean {
  const path = servicePath(key);
  const before = readIfThere(host, path);
  const set = (contents: string | undefined) =>
    contents === undefined ? host.files.remove("state", path) : host.files.write("state", path, contents);
  const changed = before !== text;
  if (!changed && (text === undefined || isRunning(host))) return false;
  set(text);
  try {
    reload(host);
  } catch (error) {
    // A file that HAProxy refuses must not keep the other services from being reloaded.
    if (changed) set(before);
    throw error;
  }
  return changed;
}
