/** Several runtimes behind one port: a sandbox goes to the one that its pod's RuntimeClass names, and what belongs to it follows by its id. */
import type { VersionInfo } from "./cri.ts";
import { type Runtime, RuntimeError } from "./ports.ts";
import { WASM_HANDLER, type WasmRuntime } from "./wasm/runtime.ts";

const FAILED_PRECONDITION = 9;

/** Why a pod cannot run on a node that has no runtime of containers. */
export const COMPONENTS_ONLY =
  "this node runs WebAssembly components only: it has no container runtime, and takes pods with runtimeClassName: wasm";

/** `containers` left out: the node has none. */
export function routeRuntimes(components: WasmRuntime, containers: Runtime | undefined): Runtime {
  const absent = (): never => {
    throw new RuntimeError(FAILED_PRECONDITION, COMPONENTS_ONLY);
  };
  const byHandler = (handler: string): Runtime => (handler === WASM_HANDLER ? components : (containers ?? absent()));
  const byId = (id: string): Runtime => (components.owns(id) ? components : (containers ?? absent()));
  const version = async (): Promise<VersionInfo> => await (containers ?? components).version();
  return {
    version,
    status: () => (containers ?? components).status(),
    runPodSandbox: async (config, handler = "") => await byHandler(handler).runPodSandbox(config, handler),
    stopPodSandbox: async (id) => await byId(id).stopPodSandbox(id),
    removePodSandbox: async (id) => await byId(id).removePodSandbox(id),
    podSandboxStatus: async (id) => await byId(id).podSandboxStatus(id),
    listPodSandboxes: async (filter) =>
      (await Promise.all([components.listPodSandboxes(filter), containers?.listPodSandboxes(filter) ?? []])).flat(),
    createContainer: async (sandboxId, config, sandbox) =>
      await byId(sandboxId).createContainer(sandboxId, config, sandbox),
    startContainer: async (id) => await byId(id).startContainer(id),
    stopContainer: async (id, seconds) => await byId(id).stopContainer(id, seconds),
    removeContainer: async (id) => await byId(id).removeContainer(id),
    containerStatus: async (id) => await byId(id).containerStatus(id),
    listContainers: async (filter) =>
      (await Promise.all([components.listContainers(filter), containers?.listContainers(filter) ?? []])).flat(),
    updateContainerResources: async (id, resources) => await byId(id).updateContainerResources(id, resources),
    reopenContainerLog: async (id) => await byId(id).reopenContainerLog(id),
    listContainerStats: async () => (await containers?.listContainerStats()) ?? [],
    execSync: async (id, command, seconds) => await byId(id).execSync(id, command, seconds),
    exec: async (request) => await byId(request.containerId).exec(request),
    attach: async (request) => await byId(request.containerId).attach(request),
    portForward: async (sandboxId) => await byId(sandboxId).portForward(sandboxId),
    listImages: async () => (await Promise.all([components.listImages(), containers?.listImages() ?? []])).flat(),
    imageStatus: async (image, handler = "") => await byHandler(handler).imageStatus(image),
    pullImage: async (image, auth, sandbox, handler = "") => await byHandler(handler).pullImage(image, auth, sandbox),
    async removeImage(image) {
      if ((await components.imageStatus(image)) !== undefined) return await components.removeImage(image);
      await containers?.removeImage(image);
    },
  };
}
