/** What a container is given for all of its devices: those of plugins and those of claims, as a runtime takes them. */
import type { NodePod } from "../context.ts";
import { mergeEdits } from "../devices/allocations.ts";
import type { DeviceManager } from "../devices/manager.ts";
import { resolveCdi } from "./cdi.ts";
import type { ClaimManager } from "./manager.ts";

const NOTHING = { envs: [], mounts: [], deviceNodes: [], annotations: [], cdiDevices: [] };

export const editsOf = (
  devices: Pick<DeviceManager, "edits">,
  claims: Pick<ClaimManager, "devicesOf">,
): Pick<DeviceManager, "edits"> => ({
  async edits(pod: NodePod, container) {
    const own = await devices.edits(pod, container);
    const claimed = { ...NOTHING, cdiDevices: claims.devicesOf(pod, container) };
    return resolveCdi(mergeEdits([own, claimed]));
  },
});
