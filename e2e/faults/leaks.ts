/** Compares what the API declares for a node with what is really there: tasks, shims, cgroups, mounts, namespaces, addresses, directories. */
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { basename, join } from "node:path";
import type { NodeConfig } from "#platform/main/config.ts";
import type { Pod } from "#sdk/api/generated/types.ts";

const CGROUPS = "/sys/fs/cgroup";

/** A container or sandbox that containerd runs, from its bundle (OCI runtime specification, annotations of containerd's CRI plugin). */
interface Task {
  id: string;
  uid: string;
  /** Undefined: the sandbox itself. */
  container: string | undefined;
}

const names = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : []);

function tasks(node: string): Task[] {
  const bundles = join(node, "containerd/state/io.containerd.runtime.v2.task/k8s.io");
  return names(bundles).flatMap((id) => {
    const file = join(bundles, id, "config.json");
    if (!existsSync(file)) return [];
    const { annotations = {} } = JSON.parse(readFileSync(file, "utf8")) as { annotations?: Record<string, string> };
    const uid = annotations["io.kubernetes.cri.sandbox-uid"] ?? "";
    const isSandbox = annotations["io.kubernetes.cri.container-type"] === "sandbox";
    return [{ id, uid, container: isSandbox ? undefined : annotations["io.kubernetes.cri.container-name"] }];
  });
}

/** Ids of the tasks that a shim of this node's containerd was started for. */
function shims(socket: string): { pid: string; id: string }[] {
  return names("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      let words: string[];
      try {
        words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      } catch {
        return [];
      }
      if (!basename(words[0] ?? "").startsWith("containerd-shim") || !words.includes(socket)) return [];
      return [{ pid, id: words[words.indexOf("-id") + 1] ?? "" }];
    });
}

function podCgroups(root: string): string[] {
  const found = new Set<string>();
  const look = (directory: string, depth: number) => {
    for (const entry of existsSync(directory) ? readdirSync(directory, { withFileTypes: true }) : []) {
      if (!entry.isDirectory()) continue;
      const uid = /^pod([0-9a-f-]{32,36})$/.exec(entry.name)?.[1];
      if (uid !== undefined) found.add(uid);
      else if (depth > 0) look(join(directory, entry.name), depth - 1);
    }
  };
  const tops = existsSync(join(CGROUPS, "cgroup.controllers"))
    ? [CGROUPS]
    : names(CGROUPS).map((name) => join(CGROUPS, name));
  for (const top of tops) look(join(top, root), 1);
  return [...found];
}

const mounts = (): string[] =>
  readFileSync("/proc/self/mountinfo", "utf8")
    .split("\n")
    .map((line) => line.split(" ")[4] ?? "");

export interface LeakInput {
  dataDir: string;
  instance: string;
  node: NodeConfig;
  /** Those of this node, of every tenant. */
  pods: readonly Pod[];
}

/** One line for each thing that is there and is nobody's, or should be there and is not. */
export function leaks({ dataDir, instance, node, pods }: LeakInput): string[] {
  const directory = join(dataDir, "nodes", node.name);
  const declared = new Map(pods.map((pod) => [pod.metadata.uid ?? "", pod]));
  const running = tasks(directory);
  const found: string[] = [];
  const isNobodys = (uid: string) => !declared.has(uid);

  for (const { id, uid, container } of running) {
    if (isNobodys(uid)) found.push(`task ${id} (${container ?? "sandbox"}) of a pod that is no more: ${uid}`);
    const twice = running.filter((other) => other.uid === uid && other.container === container);
    if (twice.length > 1) found.push(`${twice.length} tasks of ${container ?? "the sandbox"} of pod ${uid}`);
  }
  const sandboxes = new Set(running.filter(({ container }) => container === undefined).map(({ id }) => id));
  for (const { pid, id } of shims(node.containerdSocket))
    if (!sandboxes.has(id)) found.push(`shim ${pid} of no sandbox: ${id}`);
  for (const uid of podCgroups(`capstan-${instance}-${node.name}`)) if (isNobodys(uid)) found.push(`cgroup of ${uid}`);
  for (const uid of names(join(directory, "pods"))) if (isNobodys(uid)) found.push(`directory of ${uid}`);
  for (const name of names(join(directory, "pods-logs")))
    if (isNobodys(name.slice(name.lastIndexOf("_") + 1))) found.push(`logs ${name}`);
  for (const point of mounts()) {
    const uid = point.startsWith(`${directory}/pods/`) ? point.slice(directory.length + 6).split("/")[0] : undefined;
    if (uid !== undefined && isNobodys(uid)) found.push(`mount ${point}`);
    if (point.startsWith(join(directory, "plugins/kubernetes.io/"))) found.push(`mount ${point}`);
  }
  const networks = mounts().filter((point) => point.startsWith(`${directory}/`) && point.includes("/netns/")).length;
  if (networks > sandboxes.size) found.push(`${networks} network namespaces for ${sandboxes.size} sandboxes`);
  for (const name of names(join(directory, "cni/results")))
    if (!sandboxes.has(name.split("@")[0] ?? "")) found.push(`network result ${name}`);

  for (const pod of pods) {
    if (pod.status?.phase !== "Running" || pod.metadata.deletionTimestamp !== undefined) continue;
    for (const { name, containerID, state } of pod.status.containerStatuses ?? []) {
      const id = containerID?.replace("containerd://", "") ?? "";
      if (state?.running !== undefined && !running.some((task) => task.id === id))
        found.push(`${pod.metadata.name}/${name} is said to run, and does not`);
    }
  }
  return [...new Set(found)];
}
