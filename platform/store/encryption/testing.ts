/** A KMS v2 plugin for tests: on a unix socket, with keys that it makes up. */
import { createHash, randomUUID } from "node:crypto";
import { Server, ServerCredentials } from "@grpc/grpc-js";
import { openGcm, sealGcm } from "./providers.ts";
import { bytesOf, decode, encode, textOf } from "./wire.ts";

const plain = (bytes: Buffer): Buffer => bytes;
const method = (name: string) => ({
  path: `/v2.KeyManagementService/${name.replace(/^./, (first) => first.toUpperCase())}`,
  requestStream: false as const,
  responseStream: false as const,
  requestSerialize: plain,
  requestDeserialize: plain,
  responseSerialize: plain,
  responseDeserialize: plain,
});

export interface KmsPlugin {
  socket: string;
  /** Names of the calls that came. */
  calls: string[];
  nextCall(): Promise<void>;
  rotate(keyId: string): void;
  close(): Promise<void>;
}

export async function kmsPlugin(socket: string): Promise<KmsPlugin> {
  let keyId = "key-1";
  const calls: string[] = [];
  let waiting: (() => void)[] = [];
  const secret = randomUUID();
  const keyOf = (id: string) => createHash("sha256").update(`${secret}/${id}`).digest();
  const answers: Record<string, (request: Buffer) => Buffer> = {
    status: () =>
      encode([
        [1, "v2"],
        [2, "ok"],
        [3, keyId],
      ]),
    encrypt: (request) =>
      encode([
        [1, sealGcm(keyOf(keyId), bytesOf(decode(request), 1), Buffer.alloc(0))],
        [2, keyId],
        [
          3,
          encode([
            [1, "version.example.com"],
            [2, "1"],
          ]),
        ],
      ]),
    decrypt: (request) => {
      const fields = decode(request);
      return encode([[1, openGcm(keyOf(textOf(fields, 3)), bytesOf(fields, 1), Buffer.alloc(0))]]);
    },
  };
  const server = new Server();
  const names = Object.keys(answers);
  const answer = (name: string) => (call: { request: Buffer }, done: (error: Error | null, reply?: Buffer) => void) => {
    calls.push(name);
    for (const wake of waiting.splice(0)) wake();
    try {
      done(null, answers[name]?.(call.request));
    } catch (error) {
      done(error instanceof Error ? error : new Error(String(error)));
    }
  };
  server.addService(
    Object.fromEntries(names.map((name) => [name, method(name)])),
    Object.fromEntries(names.map((name) => [name, answer(name)])),
  );
  await new Promise<void>((resolve, reject) =>
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (e) => (e ? reject(e) : resolve())),
  );
  return {
    socket,
    calls,
    nextCall: () =>
      new Promise((resolve) => {
        waiting = [...waiting, resolve];
      }),
    rotate: (id) => {
      keyId = id;
    },
    close: async () => server.forceShutdown(),
  };
}
