import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { after, before, describe, it } from "node:test";
import {
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServerWritableStream,
  type sendUnaryData,
} from "@grpc/grpc-js";
import { silentLog } from "#platform/base/log.ts";
import { PluginCallError } from "#platform/plugin-host/errors.ts";
import { createFakeSource } from "#platform/plugin-host/testing/source.ts";
import { decode, encode } from "#plugins/device-plugins/messages.ts";
import { addonReady } from "#sdk/engine/addon.ts";
import { capabilitiesDigest } from "#sdk/plugin/approval.ts";
import { buildPlugin } from "#sdk/plugin/build.ts";
import { until } from "#sdk/testing/until.ts";
import { createDevicePlugins, type DevicePluginHost } from "./device-plugins.ts";

const RESOURCE = "example.com/gpu";
const scratch = mkdtempSync(join(tmpdir(), "cdpl-"));
after(() => rmSync(scratch, { recursive: true, force: true }));

type Call = ServerUnaryCall<Buffer, Buffer>;
type Done = sendUnaryData<Buffer>;

const method = (name: string, responseStream = false) => ({
  path: `/v1beta1.DevicePlugin/${name}`,
  requestStream: false,
  responseStream,
  requestSerialize: (bytes: Buffer) => bytes,
  requestDeserialize: (bytes: Buffer) => bytes,
  responseSerialize: (bytes: Buffer) => bytes,
  responseDeserialize: (bytes: Buffer) => bytes,
});
const bytes = (message: string, value: Parameters<typeof encode>[1]) => Buffer.from(encode(message, value));

/** A device plugin: `say` tells its devices, as "a" or "b!" for one that is not healthy. */
async function startPlugin(socket: string) {
  const streams: ServerWritableStream<Buffer, Buffer>[] = [];
  let listed = Buffer.alloc(0);
  const server = new Server();
  server.addService(
    {
      options: method("GetDevicePluginOptions"),
      list: method("ListAndWatch", true),
      prefer: method("GetPreferredAllocation"),
      allocate: method("Allocate"),
      preStart: method("PreStartContainer"),
    },
    {
      options: (_: Call, done: Done) => done(null, bytes("DevicePluginOptions", { preStartRequired: true })),
      list: (call: ServerWritableStream<Buffer, Buffer>) => {
        streams.push(call);
        call.write(listed);
      },
      prefer: (_: Call, done: Done) =>
        done(null, bytes("PreferredAllocationResponse", { containerResponses: [{ deviceIDs: ["b"] }] })),
      allocate: ({ request }: Call, done: Done) => {
        const { containerRequests = [] } = decode("AllocateRequest", request) as {
          containerRequests?: { devicesIds: string[] }[];
        };
        const ids = containerRequests[0]?.devicesIds.join() ?? "";
        done(null, bytes("AllocateResponse", { containerResponses: [{ envs: { GPUS: ids } }] }));
      },
      preStart: (_: Call, done: Done) => done({ code: 13, details: "no power" }),
    },
  );
  await new Promise<void>((done, fail) =>
    server.bindAsync(`unix:${socket}`, ServerCredentials.createInsecure(), (error) => (error ? fail(error) : done())),
  );
  return {
    streams,
    say(ids: string) {
      const devices = ids
        .split(" ")
        .map((id) => ({ ID: id.replace("!", ""), health: id.endsWith("!") ? "Unhealthy" : "Healthy" }));
      listed = bytes("ListAndWatchResponse", { devices });
      for (const stream of streams) stream.write(listed);
    },
    end: () => server.forceShutdown(),
  };
}

describe("device plugins through their component", () => {
  let host: DevicePluginHost;
  before(async () => {
    const components = join(scratch, "components");
    const dir = resolve(import.meta.dirname, "../../plugins/device-plugins");
    const { digest, manifest } = await buildPlugin(dir, components);
    const { name, ...rest } = manifest;
    const spec = { ...rest, digest, approved: [capabilitiesDigest(manifest.capabilities)] };
    host = createDevicePlugins({
      role: "node",
      instance: "n1",
      engine: addonReady() ? "wasmtime" : "jco",
      componentsDir: components,
      plugins: createFakeSource([{ apiVersion: "capstan.dev/v1", kind: "Plugin", metadata: { name }, spec }]),
      log: silentLog,
    });
    host.start();
  });
  after(() => host?.close());

  const devices = async () =>
    (await host.inventory(RESOURCE)).pools
      .flatMap((pool) => pool.devices)
      .map(({ id, healthy }) => `${id}${healthy ? "" : "!"}`)
      .join(" ");
  const fails = (reason: string, message: RegExp) => (error: unknown) =>
    error instanceof PluginCallError &&
    error.kind === "failure" &&
    error.reason === reason &&
    message.test(error.message);

  it("a plugin's devices are followed on one stream, and its answers cross", async () => {
    const socket = join(scratch, "dp.sock");
    const plugin = await startPlugin(socket);
    plugin.say("a b");
    await host.add(RESOURCE, socket);
    const { pools } = await host.inventory(RESOURCE);
    assert.deepEqual(
      pools.map(({ resourceName, preStartRequired, preferredAllocation }) => [
        resourceName,
        preStartRequired,
        preferredAllocation,
      ]),
      [[RESOURCE, true, false]],
    );
    assert.equal(await devices(), "a b");
    plugin.say("a! b");
    await until(async () => (await devices()) === "a! b");
    assert.equal(plugin.streams.length, 1);
    const preference = { resourceName: RESOURCE, available: ["a", "b"], mustInclude: [], count: 1 };
    assert.deepEqual(await host.preferred(RESOURCE, preference), ["b"]);
    assert.deepEqual((await host.allocate(RESOURCE, RESOURCE, ["a", "b"])).envs, [["GPUS", "a,b"]]);
    await assert.rejects(host.preStart(RESOURCE, RESOURCE, ["a"]), fails("Internal", /no power/));
    plugin.end();
    await assert.rejects(
      until(async () => (await devices()) === ""),
      (error: unknown) => error instanceof PluginCallError && error.kind === "failure",
    );
  });

  it("one that registers anew is asked at its new socket", async () => {
    const socket = join(scratch, "dp2.sock");
    const plugin = await startPlugin(socket);
    plugin.say("c");
    await host.add(RESOURCE, socket);
    assert.equal(await devices(), "c");
    host.remove(RESOURCE);
    await assert.rejects(host.inventory(RESOURCE), /no device component serves example.com\/gpu/);
    plugin.end();
  });
});
