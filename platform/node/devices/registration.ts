/** The agent's end of the device plugin API: the socket at which plugins register (v1beta1.Registration). */
import { mkdirSync, readdirSync, rmSync, statSync } from "node:fs";
import { join } from "node:path";
import { createCodec } from "#sdk/plugin/protobuf.ts";
import { type GrpcServer, serveGrpc } from "../grpc-server.ts";

const codec = createCodec({
  messages: {
    Empty: "",
    RegisterRequest: "1 version string;2 endpoint string;3 resourceName string",
  },
  enums: {},
});

/** What of an earlier agent is there goes: plugins see by that that they have to register again. */
function clean(directory: string): void {
  mkdirSync(directory, { recursive: true, mode: 0o750 });
  for (const name of readdirSync(directory))
    if (statSync(join(directory, name), { throwIfNoEntry: false })?.isSocket())
      rmSync(join(directory, name), { force: true });
}

export async function serveRegistration(
  directory: string,
  register: (resource: string, versions: string[], socket: string) => Promise<void>,
): Promise<GrpcServer> {
  clean(directory);
  return await serveGrpc(join(directory, "kubelet.sock"), codec, {
    "v1beta1.Registration": {
      Register: {
        request: "RegisterRequest",
        response: "Empty",
        async answer(request) {
          const text = (name: string) => String(request[name] ?? "");
          const endpoint = text("endpoint");
          if (endpoint === "" || endpoint.includes("/"))
            throw new Error(
              `the endpoint ${JSON.stringify(endpoint)} is no name of a socket in the plugins' directory`,
            );
          await register(text("resourceName"), [text("version")], join(directory, endpoint));
          return {};
        },
      },
    },
  });
}
