/** World runtime's hooks as CRI v1 calls: a message in its JSON mapping to protobuf, one unary call, and back. */
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

type HookName = keyof typeof runtimeCalls | keyof typeof imageCalls;
export type Hooks = Record<HookName, (request: Record<string, unknown>) => object>;

export function createHooks(unary: Unary): Hooks {
  const hookOf = (service: string, call: string) => (request: Record<string, unknown>) => {
    const asked = encode(`${call}Request`, request as Message);
    return decode(`${call}Response`, unary(SOCKET, `/runtime.v1.${service}/${call}`, asked, 0));
  };
  const all: [string, Hooks[HookName]][] = [];
  for (const [hook, call] of Object.entries(runtimeCalls)) all.push([hook, hookOf("RuntimeService", call)]);
  for (const [hook, call] of Object.entries(imageCalls)) all.push([hook, hookOf("ImageService", call)]);
  return Object.fromEntries(all) as Hooks;
}
