/**
 * The network world by the reference CNI programs. Everything that must outlive this instance is on disk: host-local's
 * addresses, and beside them each pod's result, which CHECK and DEL want back.
 */

import type { NetworkHooks } from "#sdk/plugin/define.ts";
import type { Output, RunOptions } from "#sdk/plugin/exec.ts";
import { type Failure, PluginFailure } from "#sdk/plugin/failure.ts";
import type { Attachment } from "#sdk/plugin/types.ts";
import {
  ADDRESSES,
  bridgeConfiguration,
  CNI_VERSION,
  type CniResult,
  loopbackConfiguration,
  NETWORK,
  type PortMapping,
  portmapConfiguration,
  type Settings,
} from "./configuration.ts";

/** The host as the hooks see it; the component passes the SDK's capability modules. */
export interface Host {
  run(program: string, options: RunOptions): Output;
  files: {
    read(tree: string, path: string): string;
    write(tree: string, path: string, contents: string): void;
    remove(tree: string, path: string): void;
    list(tree: string, path: string): string[];
  };
  settings(): Settings;
}

interface Pod {
  namespace?: string;
  name?: string;
  uid?: string;
  portMappings?: PortMapping[];
}

/** What is kept of an attachment. */
interface Kept {
  result: CniResult;
  portMappings: PortMapping[];
}

type Command = "ADD" | "DEL" | "CHECK" | "VERSION";
type Program = "bridge" | "loopback" | "portmap";

const CNI_PATH = "/usr/lib/cni";
const STATE = "state";
const RESULTS = "results";

export function createHooks(host: Host): NetworkHooks {
  const call = (program: Program, command: Command, attachment: Attachment, configuration: object): string => {
    const output = run(host, program, {
      env: environment(command, attachment, program === "loopback" ? "lo" : attachment.interfaceName),
      stdin: JSON.stringify(configuration),
    });
    if (output.exitCode !== 0) throw explain(program, command, output, host.settings());
    return output.stdout;
  };
  const result = (text: string): CniResult => JSON.parse(text) as CniResult;

  return {
    add(attachment) {
      const settings = host.settings();
      const { portMappings = [] } = JSON.parse(attachment.pod) as Pod;
      const mappings = portMappings.filter((mapping) => mapping.hostPort > 0);
      // Kept before anything is made, so that gc and del find what a crash leaves half done.
      keep(host, attachment, { result: {}, portMappings: mappings });
      call("loopback", "ADD", attachment, loopbackConfiguration());
      let made = result(call("bridge", "ADD", attachment, bridgeConfiguration(settings)));
      if (mappings.length > 0) made = result(call("portmap", "ADD", attachment, portmapConfiguration(mappings, made)));
      keep(host, attachment, { result: made, portMappings: mappings });
      return made;
    },
    del(attachment) {
      const kept = find(host, attachment);
      const before = kept?.result.interfaces ? kept.result : undefined;
      if (kept && kept.portMappings.length > 0)
        call("portmap", "DEL", attachment, portmapConfiguration(kept.portMappings, before));
      call("bridge", "DEL", attachment, bridgeConfiguration(host.settings(), before));
      host.files.remove(STATE, resultPath(attachment));
    },
    check(attachment) {
      const kept = find(host, attachment);
      if (!kept?.result.interfaces)
        throw new PluginFailure("NotFound", `${attachment.containerId} was never connected to the network`);
      // portmap is not asked: its CHECK (1.1) looks for IPv6 rules that its own ADD has no reason to make for an IPv4 pod.
      call("bridge", "CHECK", attachment, bridgeConfiguration(host.settings(), kept.result));
    },
    status() {
      const settings = host.settings();
      if (!settings.podCIDR)
        throw new PluginFailure("ServiceUnavailable", "this node has no pod range (spec.podCIDR) yet");
      const nobody = { containerId: "", netns: "", interfaceName: "", pod: "{}" };
      for (const program of ["bridge", "loopback", "portmap"] as const) {
        const { supportedVersions = [] } = JSON.parse(
          call(program, "VERSION", nobody, { cniVersion: CNI_VERSION }),
        ) as {
          supportedVersions?: string[];
        };
        if (!supportedVersions.includes(CNI_VERSION))
          throw new PluginFailure(
            "ServiceUnavailable",
            `${CNI_PATH}/${program} does not speak CNI ${CNI_VERSION}, only ${supportedVersions.join(", ")}`,
          );
      }
    },
    gc(valid) {
      const wanted = new Set(valid.map(([containerId, name]) => `${containerId} ${name}`));
      const problems: string[] = [];
      for (const [containerId, interfaceName] of attached(host)) {
        if (wanted.has(`${containerId} ${interfaceName}`)) continue;
        try {
          this.del({ containerId, interfaceName, netns: "", pod: "{}" });
        } catch (error) {
          problems.push(error instanceof Error ? error.message : String(error));
        }
      }
      if (problems.length > 0) throw new PluginFailure("InternalError", problems.slice(0, 3).join("; "), 500);
    },
  };
}

function run(host: Host, program: Program, options: RunOptions): Output {
  try {
    return host.run(program, options);
  } catch (error) {
    const { reason = "InternalError", message = String(error) } = error as Partial<Failure>;
    const hint = reason === "NotFound" ? ": apt-get install containernetworking-plugins" : "";
    throw new PluginFailure(reason, `${CNI_PATH}/${program} could not be run (${message})${hint}`);
  }
}

function environment(command: Command, attachment: Attachment, interfaceName: string): Record<string, string> {
  const { namespace = "", name = "", uid = "" } = JSON.parse(attachment.pod) as Pod;
  return {
    CNI_COMMAND: command,
    CNI_PATH,
    CNI_CONTAINERID: attachment.containerId,
    CNI_NETNS: attachment.netns,
    CNI_IFNAME: interfaceName,
    CNI_ARGS: `IgnoreUnknown=1;K8S_POD_NAMESPACE=${namespace};K8S_POD_NAME=${name};K8S_POD_UID=${uid};K8S_POD_INFRA_CONTAINER_ID=${attachment.containerId}`,
  };
}

const resultPath = ({ containerId, interfaceName }: { containerId: string; interfaceName: string }) =>
  `${RESULTS}/${containerId}@${interfaceName}.json`;

const keep = (host: Host, attachment: Attachment, kept: Kept): void =>
  host.files.write(STATE, resultPath(attachment), JSON.stringify(kept));

function find(host: Host, attachment: Attachment): Kept | undefined {
  const name = resultPath(attachment).slice(RESULTS.length + 1);
  if (!host.files.list(STATE, RESULTS).includes(name)) return undefined;
  try {
    return JSON.parse(host.files.read(STATE, resultPath(attachment))) as Kept;
  } catch {
    // Unreadable: DEL without a previous result still frees what host-local knows.
    return undefined;
  }
}

/** Everybody who is said to be connected: by a kept result, or by an address of host-local's. */
function attached(host: Host): [containerId: string, interfaceName: string][] {
  const found = new Map<string, [string, string]>();
  const note = (containerId = "", interfaceName = "") => {
    if (containerId && interfaceName) found.set(`${containerId} ${interfaceName}`, [containerId, interfaceName]);
  };
  for (const name of host.files.list(STATE, RESULTS))
    if (name.endsWith(".json")) note(...(name.slice(0, -".json".length).split("@") as [string, string]));
  const folder = `${ADDRESSES}/${NETWORK}`;
  for (const name of host.files.list(STATE, folder))
    if (/^[0-9.]+$|^[0-9a-f:]*:[0-9a-f:]*$/.test(name))
      note(...(host.files.read(STATE, `${folder}/${name}`).trim().split(/\s+/) as [string, string]));
  return [...found.values()];
}

/** A CNI program's error (specification, section 5) as a sentence that says what to do. */
function explain(program: Program, command: Command, output: Output, settings: Settings): PluginFailure {
  let said = { code: 0, msg: output.stderr.trim() || `exit code ${output.exitCode}`, details: "" };
  try {
    said = { ...said, ...(JSON.parse(output.stdout) as Partial<typeof said>) };
  } catch {
    // Not an error object: what it wrote to stderr has to do.
  }
  const words = [said.msg, said.details].filter(Boolean).join(": ");
  if (words.includes("no IP addresses available"))
    return new PluginFailure(
      "ServiceUnavailable",
      `no address is left in this node's pod range ${settings.podCIDR}: delete pods on this node or give the cluster a larger range`,
      503,
      words,
    );
  if (/already has an IP address different/.test(words))
    return new PluginFailure(
      "ServiceUnavailable",
      `the bridge ${settings.bridge} has an address of another pod range: remove it (ip link delete ${settings.bridge}) and restart the node (${words})`,
      503,
    );
  if (/executable file not found|failed to find plugin|failed to locate iptables/.test(words))
    return new PluginFailure(
      "ServiceUnavailable",
      `${words}: apt-get install containernetworking-plugins iptables`,
      503,
    );
  return new PluginFailure("InternalError", `CNI ${command} by ${program} failed: ${words}`, 500);
}
