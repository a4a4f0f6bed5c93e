/**
 * Drivers that put a socket into the node's plugins_registry (kubernetes/pkg/kubelet/pluginmanager, API pluginregistration/v1): each is asked who it is,
 * and told whether the node took it. The directory is looked at once a second: sockets come and go with drivers' containers.
 */
import { mkdirSync, readdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { Client, credentials } from "@grpc/grpc-js";
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { createCodec } from "#sdk/plugin/protobuf.ts";

const LOOK_MS = 1_000;
const CALL_MS = 10_000;
const RETRY_MS = 5_000;

const { encode, decode } = createCodec({
  messages: {
    InfoRequest: "",
    PluginInfo: "1 type string;2 name string;3 endpoint string;4 supportedVersions *string",
    RegistrationStatus: "1 pluginRegistered bool;2 error string",
    RegistrationStatusResponse: "",
  },
  enums: {},
});

export interface Registered {
  /** "CSIPlugin", "DevicePlugin" or "DRAPlugin". */
  type: string;
  name: string;
  /** As the driver spells it; the registration's own socket where it names none. */
  endpoint: string;
  supportedVersions: string[];
}

export interface RegistrationParts {
  directory: string;
  log: Log;
  signal: AbortSignal;
  /** Rejects with why the node does not take it. */
  added(driver: Registered): Promise<void>;
  removed(driver: Registered): void;
}

/** One unary call over a unix socket, with messages of this API. */
export async function callSocket(socket: string, method: string, request: Uint8Array): Promise<Uint8Array> {
  const client = new Client(`unix:${socket}`, credentials.createInsecure());
  try {
    return await new Promise((resolve, reject) => {
      client.makeUnaryRequest(
        method,
        (bytes: Uint8Array) => Buffer.from(bytes),
        (buffer: Buffer) => new Uint8Array(buffer),
        request,
        { deadline: Date.now() + CALL_MS },
        (error, answer) => (error ? reject(error) : resolve(answer ?? new Uint8Array())),
      );
    });
  } finally {
    client.close();
  }
}

const SERVICE = "/pluginregistration.Registration";

export async function watchRegistrations(parts: RegistrationParts): Promise<void> {
  const { directory, log, signal } = parts;
  mkdirSync(directory, { recursive: true });
  const known = new Map<string, { id: string; driver?: Registered; retryAt: number }>();

  const register = async (socket: string): Promise<Registered> => {
    const answer = await callSocket(socket, `${SERVICE}/GetInfo`, encode("InfoRequest", {}));
    const { type, name, endpoint, supportedVersions } = decode("PluginInfo", answer) as unknown as Partial<Registered>;
    const driver = {
      type: type ?? "",
      name: name ?? "",
      endpoint: endpoint || socket,
      supportedVersions: supportedVersions ?? [],
    };
    const failure = await parts.added(driver).then(() => undefined, messageOf);
    const status = { pluginRegistered: failure === undefined, error: failure ?? "" };
    await callSocket(socket, `${SERVICE}/NotifyRegistrationStatus`, encode("RegistrationStatus", status));
    if (failure !== undefined) throw new Error(failure);
    return driver;
  };

  const look = async (): Promise<void> => {
    const present = new Map<string, string>();
    for (const name of readdirSync(directory).filter((one) => one.endsWith(".sock"))) {
      const info = statSync(join(directory, name), { throwIfNoEntry: false });
      if (info?.isSocket()) present.set(name, `${info.ino}/${info.ctimeMs}`);
    }
    for (const [name, { id, driver }] of known) {
      if (present.get(name) === id) continue;
      known.delete(name);
      if (driver !== undefined) parts.removed(driver);
    }
    for (const [name, id] of present) {
      const before = known.get(name);
      if (before?.driver !== undefined || Date.now() < (before?.retryAt ?? 0)) continue;
      try {
        known.set(name, { id, driver: await register(join(directory, name)), retryAt: 0 });
      } catch (error) {
        known.set(name, { id, retryAt: Date.now() + RETRY_MS });
        log.warn("a driver's registration failed and is tried again", { socket: name, error: messageOf(error) });
      }
    }
  };

  while (!signal.aborted) {
    await look().catch((error: unknown) => log.warn("registrations could not be read", { error: messageOf(error) }));
    await delay(LOOK_MS, signal);
  }
}
