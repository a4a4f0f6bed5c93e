import { readConfig } from "#sdk/plugin/config.ts";
import { defineVolume, defineVolumeController, defineVolumeNode } from "#sdk/plugin/define-node.ts";
import { run } from "#sdk/plugin/exec.ts";
import { failure } from "#sdk/plugin/failure.ts";

const DRIVER = "NAME.example.com";

interface CreateVolumeRequest {
  name?: string;
  capacityRange?: { requiredBytes?: string };
  parameters?: Record<string, string>;
}
interface PublishRequest {
  volumeId?: string;
  targetPath?: string;
  readonly?: boolean;
}

export const volume = defineVolume({
  getPluginInfo: () => ({ name: DRIVER, vendorVersion: "0.1.0" }),
  getPluginCapabilities: () => ({ capabilities: [{ service: { type: "CONTROLLER_SERVICE" } }] }),
});

export const volumeController = defineVolumeController({
  getCapabilities: () => ({ capabilities: [{ rpc: { type: "CREATE_DELETE_VOLUME" } }] }),
  // The name of a claim's volume is its id: asked twice, the answer is the same.
  createVolume(request) {
    const { name = "", capacityRange, parameters } = request as CreateVolumeRequest;
    const capacityBytes = capacityRange?.requiredBytes ?? "0";
    return { volume: { volumeId: name, capacityBytes, volumeContext: parameters ?? {} } };
  },
  deleteVolume: () => ({}),
});

/** Where the volume is on its node. Its id may come from whoever wrote a PersistentVolume. */
function directoryOf(volumeId: string): string {
  if (!/^[A-Za-z0-9][\w.-]*$/.test(volumeId))
    throw failure("InvalidArgument", `${volumeId} is no volume of this driver`, 3);
  return `${readConfig<{ directory: string }>().directory}/${volumeId}`;
}

function must(program: string, ...args: string[]): void {
  const { exitCode, stderr } = run(program, { args });
  if (exitCode !== 0) throw failure("Internal", `${program} ${args.join(" ")}: ${stderr.trim()}`, 13);
}

const isMounted = (path: string): boolean => run("mountpoint", { args: ["-q", "--", path] }).exitCode === 0;

export const volumeNode = defineVolumeNode({
  getCapabilities: () => ({ capabilities: [] }),
  getInfo: () => ({ nodeId: DRIVER }),
  publishVolume(request) {
    const { volumeId = "", targetPath = "", readonly } = request as PublishRequest;
    const directory = directoryOf(volumeId);
    if (isMounted(targetPath)) return {};
    must("mkdir", "-p", "--", directory, targetPath);
    must("mount", "--bind", "-o", readonly ? "ro" : "rw", "--", directory, targetPath);
    return {};
  },
  unpublishVolume(request) {
    const { targetPath = "" } = request as PublishRequest;
    if (!isMounted(targetPath)) return {};
    must("umount", "--", targetPath);
    must("rmdir", "--", targetPath);
    return {};
  },
});
