/** The runtime component's hooks without a WebAssembly engine: the same codec, gRPC by this process. For tests of the agent alone. */
import { Client, credentials } from "@grpc/grpc-js";
import { createComponentRuntime } from "#platform/node/component-runtime.ts";
import type { Runtime } from "#platform/node/ports.ts";
import { decode, encode, type Message } from "#plugins/cri/codec.ts";

export function directRuntime(socket: string): Runtime & { close(): void } {
  const client = new Client(`unix:${socket}`, credentials.createInsecure());
  const runtime = createComponentRuntime((hook, request, deadlineMs) => {
    const method = hook.charAt(0).toUpperCase() + hook.slice(1);
    const service = /Image/.test(method) ? "ImageService" : "RuntimeService";
    return new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        `/runtime.v1.${service}/${method}`,
        (message: Message) => Buffer.from(encode(`${method}Request`, message)),
        (bytes: Buffer) => decode(`${method}Response`, bytes),
        JSON.parse(request) as Message,
        { deadline: Date.now() + deadlineMs },
        (error, answer) => {
          if (error === null) resolve(JSON.stringify(answer));
          else reject(Object.assign(new Error(error.details), { code: error.code }));
        },
      );
    });
  });
  return { ...runtime, close: () => client.close() };
}
