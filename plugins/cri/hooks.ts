/** World runtime's hooks as CRI v1 calls: JSON text to protobuf, one unary call, protobuf to JSON text. */
import { decode, encode, type Message } from "./codec.ts";

/** gRPC by a socket's granted name (sdk/plugin/grpc.ts); a timeout of 0 is the deadline of the call into the component. */
export type Unary = (socket: string, method: string, request: Uint8Array, timeoutMs: number) => Uint8Array;

/** The name that the manifest gives the runtime's socket. */
const SOCKET = "runtime";

const runtimeCalls = {
  version: "Version",
  status: "Status",
  runPodSandbox: "RunPodSandbox",
  stopPodSandbox: "StopPodSandbox",
  removePodSandbox: "RemovePodSandbox",
  podSandboxStatus: "PodSandboxStatus",
  listPodSandbox: "ListPodSandbox",
  createContainer: "CreateContainer",
  startContainer: "StartContainer",
  stopContainer: "StopContainer",
  removeContainer: "RemoveContainer",
  listContainers: "ListContainers",
  containerStatus: "ContainerStatus",
  updateContainerResources: "UpdateContainerResources",
  reopenContainerLog: "ReopenContainerLog",
  containerStats: "ContainerStats",
  listContainerStats: "ListContainerStats",
  execSync: "ExecSync",
  exec: "Exec",
  attach: "Attach",
  portForward: "PortForward",
} as const;

const imageCalls = {
  pullImage: "PullImage",
  imageStatus: "ImageStatus",
  listImages: "ListImages",
  removeImage: "RemoveImage",
  imageFsInfo: "ImageFsInfo",
} as const;

export type HookName = keyof typeof runtimeCalls | keyof typeof imageCalls;
export type Hooks = Record<HookName, (request: string) => string>;

export function createHooks(unary: Unary): Hooks {
  const hooks: Partial<Hooks> = {};
  const add = (calls: Record<string, string>, service: string) => {
    for (const [hook, call] of Object.entries(calls))
      hooks[hook as HookName] = (request) => {
        const asked = encode(`${call}Request`, JSON.parse(request) as Message);
        const answer = unary(SOCKET, `/runtime.v1.${service}/${call}`, asked, 0);
        return JSON.stringify(decode(`${call}Response`, answer));
      };
  };
  add(runtimeCalls, "RuntimeService");
  add(imageCalls, "ImageService");
  return hooks as Hooks;
}
