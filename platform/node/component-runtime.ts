/** The agent's Runtime on the hooks of world runtime (sdk/wit/v1/runtime.wit): CRI requests and responses as JSON text. */
import { z } from "zod";
import type { Container, ContainerStats, ContainerStatus, Image, PodSandbox, PodSandboxStatus } from "./cri.ts";
import { type ListFilter, type Runtime, RuntimeError } from "./ports.ts";
import { POD_UID } from "./sandbox.ts";

/** Hook names are the WIT's in camelCase; a failure rejects with `code` the gRPC status and a message. `deadlineMs` bounds the call. */
export type CallRuntime = (hook: string, request: string, deadlineMs: number) => Promise<string>;

const QUICK_MS = 30_000;
/** Starting a sandbox unpacks images on a slow disk. */
const START_MS = 240_000;
const PULL_MS = 900_000;

const failureShape = z.object({ code: z.number(), message: z.string() });
/** The part of the CRI plugin's verbose sandbox information that is read (containerd: an OCI runtime spec). */
const infoShape = z.object({
  runtimeSpec: z.object({
    linux: z.object({ namespaces: z.array(z.object({ type: z.string(), path: z.string().optional() })) }),
  }),
});

export function createComponentRuntime(call: CallRuntime): Runtime {
  const ask = async <T>(hook: string, request: object, deadlineMs = QUICK_MS): Promise<T> => {
    try {
      return JSON.parse(await call(hook, JSON.stringify(request), deadlineMs)) as T;
    } catch (error) {
      const failure = failureShape.safeParse(error);
      const message = error instanceof Error ? error.message : failure.data?.message;
      throw new RuntimeError(failure.data?.code ?? 2, message ?? String(error));
    }
  };
  return {
    version: () => ask("version", {}),
    status: async () => (await ask<StatusAnswer>("status", {})).status?.conditions ?? [],
    runPodSandbox: async (config, runtimeHandler) => {
      const request = { config, ...(runtimeHandler ? { runtimeHandler } : {}) };
      return (await ask<{ podSandboxId: string }>("runPodSandbox", request, START_MS)).podSandboxId;
    },
    stopPodSandbox: async (podSandboxId) => void (await ask("stopPodSandbox", { podSandboxId }, START_MS)),
    removePodSandbox: async (podSandboxId) => void (await ask("removePodSandbox", { podSandboxId }, START_MS)),
    podSandboxStatus: async (podSandboxId) => {
      const answer = await ask<{ status: PodSandboxStatus; info?: Record<string, string> }>("podSandboxStatus", {
        podSandboxId,
        verbose: true,
      });
      const netns = networkNamespace(answer.info?.["info"]);
      return netns === undefined ? { status: answer.status } : { status: answer.status, netns };
    },
    listPodSandboxes: async (filter) => {
      const request = { filter: filterOf(filter, "SANDBOX_NOTREADY") };
      return (await ask<{ items?: PodSandbox[] }>("listPodSandbox", request)).items ?? [];
    },
    createContainer: async (podSandboxId, config, sandboxConfig) =>
      (await ask<{ containerId: string }>("createContainer", { podSandboxId, config, sandboxConfig }, START_MS))
        .containerId,
    startContainer: async (containerId) => void (await ask("startContainer", { containerId }, START_MS)),
    stopContainer: async (containerId, timeout) =>
      void (await ask("stopContainer", { containerId, timeout }, (timeout + 120) * 1000)),
    removeContainer: async (containerId) => void (await ask("removeContainer", { containerId }, START_MS)),
    containerStatus: async (containerId) =>
      (await ask<{ status: ContainerStatus }>("containerStatus", { containerId })).status,
    listContainers: async (filter) => {
      const request = { filter: filterOf(filter, "CONTAINER_EXITED") };
      return (await ask<{ containers?: Container[] }>("listContainers", request)).containers ?? [];
    },
    updateContainerResources: async (containerId, linux) =>
      void (await ask("updateContainerResources", { containerId, linux })),
    reopenContainerLog: async (containerId) => void (await ask("reopenContainerLog", { containerId })),
    listContainerStats: async () => (await ask<{ stats?: ContainerStats[] }>("listContainerStats", {})).stats ?? [],
    execSync: async (containerId, cmd, timeout) => {
      const answer = await ask<{ stdout?: string; stderr?: string; exitCode?: number }>(
        "execSync",
        { containerId, cmd, timeout },
        (timeout + 10) * 1000,
      );
      const bytes = (text: string | undefined) => Buffer.from(text ?? "", "base64");
      return { stdout: bytes(answer.stdout), stderr: bytes(answer.stderr), exitCode: answer.exitCode ?? 0 };
    },
    exec: async ({ command, ...rest }) => (await ask<{ url: string }>("exec", { ...rest, cmd: command })).url,
    attach: async (request) => (await ask<{ url: string }>("attach", request)).url,
    portForward: async (podSandboxId) => (await ask<{ url: string }>("portForward", { podSandboxId })).url,
    listImages: async () => (await ask<{ images?: Image[] }>("listImages", {})).images ?? [],
    imageStatus: async (image) => (await ask<{ image?: Image }>("imageStatus", { image: { image } })).image,
    pullImage: async (image, auth, sandboxConfig) =>
      (await ask<{ imageRef: string }>("pullImage", { image: { image }, auth, sandboxConfig }, PULL_MS)).imageRef,
    removeImage: async (image) => void (await ask("removeImage", { image: { image } })),
  };
}

const filterOf = ({ podUid, ended }: ListFilter = {}, endedState: string): object => ({
  ...(podUid === undefined ? {} : { labelSelector: { [POD_UID]: podUid } }),
  ...(ended ? { state: { state: endedState } } : {}),
});

interface StatusAnswer {
  status?: { conditions?: { type: string; status?: boolean; reason?: string; message?: string }[] };
}

function networkNamespace(info: string | undefined): string | undefined {
  if (info === undefined) return undefined;
  const spec = infoShape.safeParse(JSON.parse(info));
  const path = spec.data?.runtimeSpec.linux.namespaces.find((one) => one.type === "network")?.path;
  return path === "" ? undefined : path;
}
