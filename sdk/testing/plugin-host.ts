/**
 * A host without a platform, for tests of plugins: configuration, clock and log, an API in memory, files in memory, and for everything else
 * (programs, gRPC, HTTP …) answers that were recorded or written by hand. What the manifest does not ask for is denied, as by the real one.
 */
import { isDeepStrictEqual } from "node:util";
import type { DynamicObject, GroupVersionResource, JsonObject } from "../api/object.ts";
import { StatusError } from "../api/status.ts";
import type { Client, Patch } from "../client/port.ts";
import { type HostCall, HostFailure } from "../engine/port.ts";
import type { Manifest } from "../plugin/manifest.ts";
import { createFakeApi } from "./fake-api.ts";

export interface RecordedAnswer {
  /** "exec.run", "api.get" … */
  call: string;
  /** Left out: whatever they are. */
  arguments?: unknown[];
  value?: unknown;
  /** Instead of a value: types.failure. */
  failure?: { reason: string; message: string; code?: number; details?: string };
}

export interface MockHostOptions {
  manifest: Pick<Manifest, "capabilities" | "config">;
  /** Instead of the manifest's. */
  config?: Record<string, unknown>;
  /** What config.host answers. */
  facts?: Record<string, unknown>;
  /** The API's objects, each with apiVersion, kind and metadata; `resource` is the plural. */
  objects?: { resource: GroupVersionResource; object: DynamicObject }[];
  /** "TREE/path" to text. */
  files?: Record<string, string>;
  /** Used in order; the first that fits a call answers it, once. */
  answers?: readonly RecordedAnswer[];
  /** Milliseconds since the epoch; left out: the real clock. */
  now?: number;
  /** Answers what nothing recorded does: recording. Its answers are kept in `recorded`. */
  live?: HostCall;
}

export interface MockHost {
  call: HostCall;
  /** "warn: text" */
  readonly log: string[];
  /** Calls outside of what every plugin may do: "exec.run". */
  readonly calls: string[];
  /** Writes that reached the API: "POST root/default/pods/web-1". */
  readonly writes: readonly string[];
  readonly recorded: RecordedAnswer[];
  readonly client: Client;
  readonly files: Map<string, string>;
}

const LOG_LINES_MAX = 10_000;
const failureOf = (reason: string, message: string, code = 0, details = ""): HostFailure =>
  new HostFailure({ reason, code, message, details }, message);

/** Resolves when the objects are in. */
export async function createMockHost(options: MockHostOptions): Promise<MockHost> {
  const api = createFakeApi();
  for (const { resource, object } of options.objects ?? []) await api.client.create(resource, structuredClone(object));
  const seeded = api.requests.length;
  const log: string[] = [];
  const calls: string[] = [];
  const recorded: RecordedAnswer[] = [];
  const files = new Map(Object.entries(options.files ?? {}));
  const answers = [...(options.answers ?? [])];
  const granted = new Set<string>(options.manifest.capabilities.map(({ name }) => name));
  const always: Record<string, (args: never) => unknown> = {
    "log.write": ([level, message]: [string, string]) => {
      if (log.length < LOG_LINES_MAX) log.push(`${level}: ${message}`);
    },
    "config.get": () => JSON.stringify(options.config ?? options.manifest.config),
    "config.host": () => JSON.stringify({ role: "test", instance: "0", ...options.facts }),
    "clock.now": () => options.now ?? Date.now(),
    "clock.monotonic": () => performance.now(),
  };

  const call: HostCall = async (interfaceName, functionName, args) => {
    const face = interfaceName.replace("capstan:plugin/", "");
    const name = `${face}.${functionName}`;
    const plain = always[name];
    if (plain) return plain(args as never);
    calls.push(name);
    if (!granted.has(face)) throw failureOf("Denied", `denied: ${name} is not among the manifest's capabilities`, 403);
    const found = answers.findIndex(
      (a) => a.call === name && (a.arguments === undefined || isDeepStrictEqual(a.arguments, plainArguments(args))),
    );
    const [answer] = found >= 0 ? answers.splice(found, 1) : [];
    if (answer) return answered(answer);
    if (options.live) return await record(options.live, name, recorded, [interfaceName, functionName, args]);
    if (face === "api") return await callFakeApi(api.client, functionName, args);
    if (face === "files") return filesInMemory(files, functionName, args as string[]);
    throw failureOf("NotFound", `no answer is recorded for ${name} ${JSON.stringify(plainArguments(args))}`, 404);
  };
  return {
    call,
    log,
    calls,
    recorded,
    files,
    client: api.client,
    get writes() {
      return api.requests.slice(seeded);
    },
  };
}

/** As JSON has them: bytes as arrays of numbers. */
export const plainArguments = (args: unknown): unknown[] =>
  JSON.parse(JSON.stringify(args, (_, value) => (ArrayBuffer.isView(value) ? [...(value as Uint8Array)] : value)));

function answered(answer: RecordedAnswer): unknown {
  const { failure } = answer;
  if (failure) throw failureOf(failure.reason, failure.message, failure.code, failure.details);
  return typeof answer.value === "object" && answer.value !== null && answer.call.startsWith("api.")
    ? JSON.stringify(answer.value)
    : answer.value;
}

async function record(
  live: HostCall,
  call: string,
  into: RecordedAnswer[],
  [interfaceName, functionName, args]: Parameters<HostCall>,
): Promise<unknown> {
  const entry: RecordedAnswer = { call, arguments: plainArguments(args) };
  into.push(entry);
  try {
    const value = await live(interfaceName, functionName, args);
    entry.value = value === undefined ? undefined : plainArguments([value])[0];
    return value;
  } catch (error) {
    if (error instanceof HostFailure) entry.failure = error.payload as RecordedAnswer["failure"];
    throw error;
  }
}

function filesInMemory(
  files: Map<string, string>,
  verb: string,
  [tree = "", path = "", contents = ""]: string[],
): unknown {
  const key = `${tree}/${path}`;
  switch (verb) {
    case "read": {
      const text = files.get(key);
      if (text === undefined) throw failureOf("NotFound", `there is no file ${path}`, 404);
      return text;
    }
    case "write":
      files.set(key, contents);
      return undefined;
    case "remove":
      files.delete(key);
      return undefined;
    default: {
      const below = `${path ? key : tree}/`;
      const names = [...files.keys()].filter((name) => name.startsWith(below)).map((name) => name.slice(below.length));
      return [...new Set(names.map((name) => name.split("/")[0]))].sort();
    }
  }
}

interface Target extends GroupVersionResource {
  subresource: string;
  namespace: string;
  name: string;
}

/** The contract's `api` over a client; failures as the guest gets them. */
export async function callFakeApi(client: Client, verb: string, args: unknown[]): Promise<unknown> {
  const target = args[0] as Target;
  const name = { namespace: target.namespace || undefined, name: target.name };
  const options = { subresource: target.subresource || undefined };
  const body = (at: number) => JSON.parse(String(args[at])) as DynamicObject;
  const addressed = (object: DynamicObject): DynamicObject => ({
    ...object,
    metadata: { ...object.metadata, ...(target.namespace ? { namespace: target.namespace } : {}) },
  });
  try {
    switch (verb) {
      case "get":
        return JSON.stringify(await client.get(target, name));
      case "list": {
        const { labelSelector, fieldSelector } = args[1] as { labelSelector: string; fieldSelector: string };
        const selection = { labelSelector: labelSelector || undefined, fieldSelector: fieldSelector || undefined };
        return JSON.stringify(await client.list(target, { namespace: target.namespace || undefined, ...selection }));
      }
      case "create":
        return JSON.stringify(await client.create(target, addressed(body(1)), options));
      case "update":
        return JSON.stringify(await client.update(target, addressed(body(1)), options));
      case "patch": {
        const patch = { type: args[1], body: JSON.parse(String(args[2])) as JsonObject } as Patch;
        return JSON.stringify(await client.patch(target, name, patch, options));
      }
      case "apply": {
        const patch: Patch = {
          type: "apply",
          body: addressed(body(1)),
          fieldManager: String(args[2]),
          force: args[3] === true,
        };
        return JSON.stringify(
          await client.patch(
            target,
            { ...name, name: target.name || (patch.body.metadata.name ?? "") },
            patch,
            options,
          ),
        );
      }
      default:
        return await client.delete(target, name, args[1] ? (JSON.parse(String(args[1])) as JsonObject) : undefined);
    }
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    throw failureOf(error.reason, error.message, error.code);
  }
}
