/** The one list of processes that make an instance, in the order in which they start; they stop the other way round. */
import { connect } from "node:net";
import { type Config, type NodeConfig, paths } from "./config.ts";
import { containerdCommand } from "./containerd.ts";
import { postgresSpec } from "./database.ts";
import { nodeCommandPrefix } from "./nodes.ts";
import type { ProcessSpec } from "./processes.ts";
import { schedulerCount } from "./server-options.ts";
import { projectDir } from "./settings.ts";

const cli = `${projectDir}/platform/main/cli.ts`;

/**
 * Options of Node for a role. Hundreds of requests are under way in an API server at once: in a small nursery their objects live until it is
 * full and are copied, which was a seventh of its time. What it keeps may grow by a third before it is collected: by V8's own measure it
 * doubles, which was a third of what a tenant cost, for 2 % of the time of writes. Roles that wait most of the time (a node's agent, the
 * console, the supervisor: "") would keep the nursery that one busy moment made large; controllers, of which many are seldom busy at once,
 * a part of it.
 */
export const nodeOptions = (role: string): string[] => [
  "--disable-warning=ExperimentalWarning",
  ...(role === "apiserver" ? ["--max-semi-space-size=32", "--heap-growing-percent=30"] : []),
  ...(role === "controllers" ? ["--max-semi-space-size=8"] : []),
  ...(role === "" || role === "console" || role.startsWith("node-") ? ["--max-semi-space-size=4"] : []),
];

const capstan = (dataDir: string, ...args: string[]) => ({
  file: process.execPath,
  args: [...nodeOptions(args[0] === "role" ? (args[1] ?? "") : ""), cli, ...args, "--data-dir", dataDir],
  cwd: projectDir,
});

export const supervisorSpec = (dataDir: string): ProcessSpec => ({
  name: "supervisor",
  ...capstan(dataDir, "supervise"),
  after: [],
});

/** "scheduler", "scheduler-2" … */
const schedulerNames = (config: Config): string[] =>
  Array.from({ length: schedulerCount(config) }, (_, i) => (i === 0 ? "scheduler" : `scheduler-${i + 1}`));

export async function processSpecs(config: Config): Promise<ProcessSpec[]> {
  const role = (name: string, after: string[]): ProcessSpec => ({
    name,
    ...capstan(config.dataDir, "role", name),
    after,
  });
  if (config.joined) return nodeSpecs(config, role);
  const postgres = await postgresSpec(config);
  return [
    ...(postgres ? [postgres] : []),
    { name: "migrate", ...capstan(config.dataDir, "migrate"), after: postgres ? ["postgres"] : [], once: true },
    role("apiserver", ["migrate"]),
    ...nodeSpecs(config, role),
    role("controllers", ["apiserver"]),
    ...schedulerNames(config).map((name) => role(name, ["apiserver"])),
    role("console", ["apiserver"]),
  ];
}

function nodeSpecs(config: Config, role: (name: string, after: string[]) => ProcessSpec): ProcessSpec[] {
  return config.nodes.flatMap((node): ProcessSpec[] => {
    if (node.componentsOnly) return [role(`node-${node.name}`, ["apiserver"])];
    const { command, args, env } = containerdCommand(config, node);
    const containerd = `containerd-${node.name}`;
    return [
      {
        name: containerd,
        file: command,
        args,
        env,
        cwd: paths(config.dataDir).node(node.name),
        after: [],
        probe: () => socketAnswers(node.containerdSocket),
      },
      inNetwork(node, role(`node-${node.name}`, ["apiserver", containerd])),
    ];
  });
}

function inNetwork(node: NodeConfig, spec: ProcessSpec): ProcessSpec {
  const [program, ...before] = nodeCommandPrefix(node);
  return program ? { ...spec, file: program, args: [...before, spec.file, ...spec.args] } : spec;
}

function socketAnswers(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(path);
    const answer = (value: boolean) => {
      socket.destroy();
      resolve(value);
    };
    socket.once("connect", () => answer(true));
    socket.once("error", () => answer(false));
  });
}
