import { defineVolume, defineVolumeController, defineVolumeNode } from "#sdk/plugin/define-node.ts";
import * as mounts from "#sdk/plugin/mount.ts";

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

export const volumeNode = defineVolumeNode({
  getCapabilities: () => ({ capabilities: [] }),
  getInfo: () => ({ nodeId: DRIVER }),
  publishVolume(request) {
    const { volumeId = "", targetPath = "", readonly } = request as PublishRequest;
    const options = readonly ? ["bind", "ro"] : ["bind"];
    mounts.mount({ source: `volumes/${volumeId}`, tree: "pods", path: targetPath, fsType: "bind", options });
    return {};
  },
  unpublishVolume(request) {
    mounts.unmount("pods", (request as PublishRequest).targetPath ?? "");
    return {};
  },
});
