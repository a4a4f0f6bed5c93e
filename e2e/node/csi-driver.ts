/**
 * A volume driver for tests, as one is on a node: gRPC over a socket of its own, registered with the node agent by a second one. Its volumes are
 * directories, staged and published by bind mounts as real drivers do. It can be told to fail, before or after it has done its work.
 */
import { execFileSync } from "node:child_process";
import { mkdirSync, rmdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { status } from "@grpc/grpc-js";
import { GrpcRefusal, serveGrpc, type UnaryMethod } from "#platform/node/grpc-server.ts";
import { enums, messages } from "#plugins/csi/generated.ts";
import { createCodec, type Message } from "#sdk/plugin/protobuf.ts";

const csi = createCodec({ messages, enums });
const registration = createCodec({
  messages: {
    InfoRequest: "",
    PluginInfo: "1 type string;2 name string;3 endpoint string;4 supportedVersions *string",
    RegistrationStatus: "1 pluginRegistered bool;2 error string",
    RegistrationStatusResponse: "",
  },
  enums: {},
});

export interface TestDriver {
  name: string;
  /** "NodeStageVolume volume" …, in the order they came. */
  calls: string[];
  requests: Map<string, Message>;
  /** What the node said to the registration. */
  registered: Promise<Message>;
  /** The next calls of this method fail; "after": though they have done their work. */
  fail(method: string, times: number, when: "before" | "after"): void;
  close(): void;
}

type Handler = UnaryMethod["answer"];
const refusal = (message: string) => new GrpcRefusal(status.INTERNAL, message);

const bind = (source: string, target: string) => {
  mkdirSync(target, { recursive: true });
  try {
    execFileSync("mountpoint", ["-q", target]);
  } catch {
    execFileSync("mount", ["--bind", source, target]);
  }
};
const unbind = (target: string) => {
  try {
    execFileSync("umount", [target], { stdio: "ignore" });
  } catch {
    // It was not mounted: the call came twice.
  }
};

export interface Registrar {
  /** What the node said to the registration. */
  registered: Promise<Message>;
  close(): void;
}

/** What node-driver-registrar does: tells the node of a driver that serves at `endpoint`. */
export async function startRegistrar(name: string, endpoint: string, nodeDirectory: string): Promise<Registrar> {
  const registered = Promise.withResolvers<Message>();
  const notified: UnaryMethod = {
    request: "RegistrationStatus",
    response: "RegistrationStatusResponse",
    answer(request) {
      registered.resolve(request);
      return {};
    },
  };
  const info = { type: "CSIPlugin", name, endpoint, supportedVersions: ["1.0.0"] };
  const socket = join(nodeDirectory, "plugins_registry", `${name}-reg.sock`);
  const registry = await serveGrpc(socket, registration, {
    "pluginregistration.Registration": {
      GetInfo: { request: "InfoRequest", response: "PluginInfo", answer: () => info },
      NotifyRegistrationStatus: notified,
    },
  });
  return { registered: registered.promise, close: registry.close };
}

/** `directory`: where its volumes are; `nodeDirectory`: the node agent's. */
export async function startDriver(name: string, directory: string, nodeDirectory: string): Promise<TestDriver> {
  const calls: string[] = [];
  const requests = new Map<string, Message>();
  const failing = new Map<string, { times: number; when: "before" | "after" }>();
  const volumeOf = (request: Message) => join(directory, String(request["volumeId"]));
  const step =
    (method: string, work: Handler): Handler =>
    async (request) => {
      calls.push(`${method} ${request["volumeId"]}`);
      requests.set(method, request);
      const failure = failing.get(method);
      const fails = failure !== undefined && failure.times-- > 0;
      if (fails && failure.when === "before") throw refusal(`${method} fails`);
      const answer = await work(request);
      if (fails) throw refusal(`${method} fails after its work`);
      return answer;
    };
  const method = (name: string, answer: Handler): UnaryMethod => ({
    request: `${name}Request`,
    response: `${name}Response`,
    answer,
  });
  const node = (name: string, work: Handler): UnaryMethod => method(name, step(name, work));
  const methods = {
    NodeGetInfo: method("NodeGetInfo", () => ({
      nodeId: "here",
      maxVolumesPerNode: "7",
      accessibleTopology: { segments: { "test.example/zone": "a" } },
    })),
    NodeGetCapabilities: method("NodeGetCapabilities", () => ({
      capabilities: [{ rpc: { type: "STAGE_UNSTAGE_VOLUME" } }, { rpc: { type: "EXPAND_VOLUME" } }],
    })),
    NodeStageVolume: node("NodeStageVolume", (request) => {
      mkdirSync(volumeOf(request), { recursive: true });
      bind(volumeOf(request), String(request["stagingTargetPath"]));
      return {};
    }),
    NodePublishVolume: node("NodePublishVolume", (request) => {
      const staged = request["stagingTargetPath"];
      if (staged === undefined) mkdirSync(volumeOf(request), { recursive: true });
      bind(staged === undefined ? volumeOf(request) : String(staged), String(request["targetPath"]));
      return {};
    }),
    NodeExpandVolume: node("NodeExpandVolume", () => ({})),
    NodeUnpublishVolume: node("NodeUnpublishVolume", (request) => {
      unbind(String(request["targetPath"]));
      rmSync(String(request["targetPath"]), { recursive: true, force: true });
      return {};
    }),
    NodeUnstageVolume: node("NodeUnstageVolume", (request) => {
      unbind(String(request["stagingTargetPath"]));
      return {};
    }),
  };
  const socket = join(directory, "csi.sock");
  const driver = await serveGrpc(socket, csi, { "csi.v1.Node": methods });
  const registrar = await startRegistrar(name, socket, nodeDirectory);
  return {
    name,
    calls,
    requests,
    registered: registrar.registered,
    fail: (method, times, when) => void failing.set(method, { times, when }),
    close() {
      driver.close();
      registrar.close();
      try {
        rmdirSync(directory);
      } catch {
        // Its volumes are left, as a driver leaves them.
      }
    },
  };
}
