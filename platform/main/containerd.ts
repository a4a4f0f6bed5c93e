/**
 * One containerd per node, our own: its data, state and socket are below DATA/nodes/NAME/containerd, so it neither meets
 * nor disturbs one that the host runs. The supervisor starts it as a process of its own; its shims outlive it, so a
 * killed containerd (or agent) costs no container.
 *
 * Networks: the CRI plugin gives each sandbox an empty network namespace through a placeholder CNI program, and the node
 * agent then asks the network component to fill it (platform/node/sandbox.ts). So the component is always on the path, and
 * its refusal is the agent's to report; containerd 1.6 has no switch for "no CNI", it fails a sandbox without an address.
 */
import { execFileSync } from "node:child_process";
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { type Config, type NodeConfig, paths } from "./config.ts";
import { PAUSE_IMAGE } from "./images.ts";
import { UserError } from "./steps.ts";

/** sun_path of unix(7) is 108 bytes with its final zero. */
const SOCKET_BYTES_MAX = 107;
const CAP_SYS_RESOURCE = 24n;

export interface ContainerdCommand {
  command: string;
  args: string[];
  env: Record<string, string>;
}

export interface HostFeatures {
  snapshotter: "overlayfs" | "native";
  /** Without CAP_SYS_RESOURCE runc cannot lower oom_score_adj, and every sandbox would fail. */
  restrictOomScoreAdj: boolean;
}

const containerdDir = (config: Config, node: NodeConfig): string =>
  join(paths(config.dataDir).node(node.name), "containerd");

/** Refuses a data directory whose sockets would have names that the kernel does not take. */
export function checkSocketPaths({ nodes }: Config): void {
  const long = nodes.find(
    ({ containerdSocket, componentsOnly }) => !componentsOnly && Buffer.byteLength(containerdSocket) > SOCKET_BYTES_MAX,
  );
  if (long)
    throw new UserError(
      `the socket path ${long.containerdSocket} is longer than ${SOCKET_BYTES_MAX} bytes`,
      "npm run up -- --data-dir PATH   # a shorter one",
    );
}

/** Writes the node's containerd configuration (idempotent) and answers the command the supervisor starts. Needs root. */
export function containerdCommand(config: Config, node: NodeConfig): ContainerdCommand {
  const directory = containerdDir(config, node);
  for (const name of ["root", "state", "cni/bin", "cni/conf"])
    mkdirSync(join(directory, name), { recursive: true, mode: 0o711 });
  mkdirSync(join(node.containerdSocket, ".."), { recursive: true });
  writePlaceholderNetwork(directory);
  const features = detectFeatures(directory);
  const file = join(directory, "config.toml");
  writeFileSync(file, configText(directory, node, features), { mode: 0o600 });
  const args = ["--config", file];
  const env = { PATH: process.env["PATH"] ?? "/usr/sbin:/usr/bin:/sbin:/bin" };
  if (node.netns === undefined) return { command: "containerd", args, env };
  const netns = node.netns.startsWith("/") ? node.netns : `/run/netns/${node.netns}`;
  return { command: "nsenter", args: [`--net=${netns}`, "--", "containerd", ...args], env };
}

/** Tries what it reports: overlayfs is missing in some kernels and refused on some file systems. */
export function detectFeatures(directory: string): HostFeatures {
  const effective = /^CapEff:\s*([0-9a-f]+)/m.exec(readFileSync("/proc/self/status", "utf8"))?.[1] ?? "0";
  return {
    snapshotter: canMountOverlay(directory) ? "overlayfs" : "native",
    restrictOomScoreAdj: (BigInt(`0x${effective}`) & (1n << CAP_SYS_RESOURCE)) === 0n,
  };
}

function canMountOverlay(directory: string): boolean {
  const trial = mkdtempSync(join(directory, "overlay-"));
  const at = (name: string) => join(trial, name);
  try {
    for (const name of ["lower", "upper", "work", "merged"]) mkdirSync(at(name));
    const options = `lowerdir=${at("lower")},upperdir=${at("upper")},workdir=${at("work")}`;
    execFileSync("mount", ["-t", "overlay", "overlay", "-o", options, at("merged")], { stdio: "ignore" });
    execFileSync("umount", [at("merged")], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  } finally {
    rmSync(trial, { recursive: true, force: true });
  }
}

function configText(directory: string, node: NodeConfig, features: HostFeatures): string {
  const text = (value: string) => JSON.stringify(value);
  return `version = 2
root = ${text(join(directory, "root"))}
state = ${text(join(directory, "state"))}
oom_score = 0
disabled_plugins = [
  "io.containerd.internal.v1.opt",
  "io.containerd.snapshotter.v1.aufs",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
]

[grpc]
  address = ${text(node.containerdSocket)}

[ttrpc]
  address = ${text(`${node.containerdSocket}.ttrpc`)}

[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = ${text(PAUSE_IMAGE)}
  stream_server_address = "127.0.0.1"
  stream_server_port = "0"
  stream_idle_timeout = "4h0m0s"
  restrict_oom_score_adj = ${features.restrictOomScoreAdj}
  disable_apparmor = ${!apparmorEnabled()}
  netns_mounts_under_state_dir = true
  tolerate_missing_hugetlb_controller = true
  disable_hugetlb_controller = true
  max_container_log_line_size = 16384
  enable_unprivileged_ports = true
  enable_unprivileged_icmp = true

  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = ${text(features.snapshotter)}
    default_runtime_name = "runc"
    discard_unpacked_layers = false

  [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
    runtime_type = "io.containerd.runc.v2"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = false

  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = ${text(join(directory, "cni/bin"))}
    conf_dir = ${text(join(directory, "cni/conf"))}
    max_conf_num = 1
`;
}

function apparmorEnabled(): boolean {
  try {
    return readFileSync("/sys/module/apparmor/parameters/enabled", "utf8").trim() === "Y";
  } catch {
    return false;
  }
}

/**
 * See the head of this file: an address that means "none yet" on an interface that is not there. containerd asks for the loopback interface by
 * itself as well, which the network component brings up. Both are shells that start no other program: one process each for a sandbox.
 */
function writePlaceholderNetwork(directory: string): void {
  const write = (name: string, version: string, result: string) => {
    const program = join(directory, "cni/bin", name);
    rmSync(program, { force: true });
    writeFileSync(program, placeholder(version, result), { mode: 0o755 });
    chmodSync(program, 0o755);
  };
  write("capstan-placeholder", "0.4.0", interfaceResult("eth0", "0.0.0.0/32"));
  write("loopback", "0.3.1", interfaceResult("lo", "127.0.0.1/8"));
  writeFileSync(
    join(directory, "cni/conf/10-capstan.conflist"),
    `${JSON.stringify({ cniVersion: "0.4.0", name: "capstan", plugins: [{ type: "capstan-placeholder" }] })}\n`,
  );
}

/** The rest of a CNI result; "%s" is the network namespace. */
const interfaceResult = (name: string, address: string): string =>
  `"interfaces":[{"name":"${name}","sandbox":"%s"}],"ips":[{"version":"4","address":"${address}","interface":0}]`;

const placeholder = (version: string, result: string): string => `#!/bin/sh
while read -r line; do :; done
case "$CNI_COMMAND" in
ADD) printf '{"cniVersion":"${version}",${result}}' "$CNI_NETNS" ;;
VERSION) printf '{"cniVersion":"${version}","supportedVersions":["0.3.1","0.4.0"]}' ;;
esac
`;
