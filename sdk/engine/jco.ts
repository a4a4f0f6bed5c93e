/**
 * The engine port over V8: jco turns a component into JavaScript and core modules, and each instance runs in a worker of
 * its own, which can be ended at the deadline. The modules' memory gets a maximum, so that a guest cannot grow beyond its cap.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { MessageChannel, type MessagePort, Worker } from "node:worker_threads";
import { limitMemory } from "./memory-limit.ts";
import {
  type Component,
  type Cost,
  CROSSING_BYTES_MAX,
  type Engine,
  EngineError,
  type EngineOptions,
  type HostCall,
  HostFailure,
  type Instance,
  type InstanceOptions,
  type OwnTexts,
} from "./port.ts";
import { transpileInThread } from "./transpiler.ts";

/** Told to the worker at its start. */
export interface WorkerStart {
  script: string;
  modules: Map<string, WebAssembly.Module>;
  imports: string[];
  importPrefixes: string[];
  hostPort: MessagePort;
  /** Set to 1 when an answer stands in hostPort. */
  hostFlag: Int32Array;
  memoryBytesMax: number;
  crossingBytesMax: number;
  own: OwnTexts | undefined;
}

export type WorkerReply =
  | { type: "ready" }
  | { type: "host"; interfaceName: string; functionName: string; args: unknown[] }
  | { type: "line"; level: string; message: string }
  | { type: "done"; value: unknown; cost: Cost }
  | { type: "error"; kind: EngineError["kind"]; message: string; payload?: unknown; cost: Cost };

export type WorkerCall = { interfaceName: string; functionName: string; args: unknown[] };

const jcoVersion = (
  JSON.parse(
    readFileSync(join(createRequire(import.meta.url).resolve("@bytecodealliance/jco"), "../../package.json"), "utf8"),
  ) as { version: string }
).version;

/** Rises with what is in a component's folder beside what jco makes. */
const FOLDER_VERSION = 2;

const workerUrl = new URL("./jco-worker.ts", import.meta.url);

export function createJcoEngine(options: EngineOptions): Engine {
  mkdirSync(options.cacheDir, { recursive: true, mode: 0o700 });
  return {
    name: "jco",
    async load(bytes, digest, { fuel = false } = {}) {
      if (fuel) throw new Error("what a component does is counted by the engine wasmtime only: V8 counts nothing");
      return new JcoComponent(digest, await transpiled(bytes, digest, options.cacheDir), options.importPrefixes);
    },
  };
}

/**
 * The folder with a component's JavaScript and core modules, made where it is missing; named by the component's digest. "sync": it is
 * instantiated without waiting.
 */
export async function transpiled(
  bytes: Uint8Array,
  digest: string,
  cacheDir: string,
  instantiation: "async" | "sync" = "async",
): Promise<string> {
  const kind = instantiation === "async" ? "jco" : "jco-sync";
  const folder = join(cacheDir, `${digest.replace(":", "-")}-${kind}${FOLDER_VERSION}-${jcoVersion}`);
  if (!existsSync(folder)) await transpile(bytes, instantiation, folder);
  return folder;
}

/** The folder appears whole. */
async function transpile(bytes: Uint8Array, instantiation: "async" | "sync", folder: string): Promise<void> {
  const beside = `${folder}.${process.pid}.tmp`;
  rmSync(beside, { recursive: true, force: true });
  const files = await transpileInThread({ bytes, instantiation });
  mkdirSync(beside, { recursive: true, mode: 0o700 });
  for (const [name, contents] of files) writeFileSync(join(beside, name), contents);
  try {
    renameSync(beside, folder);
  } catch (error) {
    // Another process was first; what it made is the same.
    rmSync(beside, { recursive: true, force: true });
    if (!existsSync(folder)) throw error;
  }
}

class JcoComponent implements Component {
  readonly digest: string;
  readonly exports: ReadonlySet<string>;
  readonly #folder: string;
  readonly #prefixes: string[];
  /** By memory cap; V8 shares the code of one module among the workers it is sent to. */
  readonly #modules = new Map<number, Promise<Map<string, WebAssembly.Module>>>();
  constructor(digest: string, folder: string, prefixes: string[]) {
    this.digest = digest;
    this.exports = new Set(JSON.parse(readFileSync(join(folder, "exports.json"), "utf8")) as string[]);
    this.#folder = folder;
    this.#prefixes = prefixes;
  }

  async instantiate(o: InstanceOptions): Promise<Instance> {
    let modules = this.#modules.get(o.memoryBytesMax);
    if (!modules) {
      modules = compile(this.#folder, o.memoryBytesMax);
      this.#modules.set(o.memoryBytesMax, modules);
    }
    const { port1, port2 } = new MessageChannel();
    const start: WorkerStart = {
      script: pathToFileURL(join(this.#folder, "component.js")).href,
      modules: await modules,
      imports: JSON.parse(readFileSync(join(this.#folder, "imports.json"), "utf8")) as string[],
      importPrefixes: this.#prefixes,
      hostPort: port2,
      hostFlag: new Int32Array(new SharedArrayBuffer(4)),
      memoryBytesMax: o.memoryBytesMax,
      crossingBytesMax: o.crossingBytesMax ?? CROSSING_BYTES_MAX,
      own: o.own,
    };
    const worker = new Worker(workerUrl, { workerData: start, transferList: [port2], env: {}, execArgv: [] });
    const instance = new JcoInstance(worker, port1, start.hostFlag, o.host);
    await instance.started(o.deadlineMs);
    return instance;
  }
}

async function compile(folder: string, memoryBytesMax: number): Promise<Map<string, WebAssembly.Module>> {
  const names = readdirSync(folder).filter((name) => name.endsWith(".wasm"));
  const compiled = names.map(async (name) => {
    const bytes = limitMemory(readFileSync(join(folder, name)), memoryBytesMax);
    return [name, await WebAssembly.compile(bytes)] as const;
  });
  return new Map(await Promise.all(compiled));
}

interface Waiting {
  resolve(value: unknown): void;
  reject(error: EngineError): void;
  timer: NodeJS.Timeout;
}

class JcoInstance implements Instance {
  readonly pure = false;
  cost: Cost = { micros: 0, memoryBytes: 0 };
  readonly #worker: Worker;
  readonly #port: MessagePort;
  readonly #flag: Int32Array;
  readonly #host: HostCall;
  #waiting: Waiting | undefined;
  #ended: EngineError | undefined;

  constructor(worker: Worker, port: MessagePort, flag: Int32Array, host: HostCall) {
    this.#worker = worker;
    this.#port = port;
    this.#flag = flag;
    this.#host = host;
    port.unref();
    worker.on("message", (reply: WorkerReply) => this.#received(reply));
    worker.on("error", (error: Error) => this.#end(new EngineError("trap", error.message)));
    worker.on("exit", () => this.#end(new EngineError("trap", "the worker ended")));
  }

  started(deadlineMs: number): Promise<unknown> {
    return this.#wait(deadlineMs).finally(() => this.#worker.unref());
  }

  call(interfaceName: string, functionName: string, args: unknown[], deadlineMs: number): Promise<unknown> {
    if (this.#ended) return Promise.reject(new EngineError("trap", "the instance has ended"));
    const answer = this.#wait(deadlineMs);
    this.#worker.ref();
    try {
      this.#worker.postMessage({ interfaceName, functionName, args } satisfies WorkerCall);
    } catch (error) {
      this.#settle()?.reject(new EngineError("invalid", error instanceof Error ? error.message : String(error)));
    }
    return answer.finally(() => this.#worker.unref());
  }

  async discard(): Promise<void> {
    this.#end(new EngineError("trap", "the instance was discarded"));
    this.#port.close();
    await this.#worker.terminate();
  }

  #wait(deadlineMs: number): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const over = () => this.#end(new EngineError("deadline", "the deadline is over"));
      this.#waiting = { resolve, reject, timer: setTimeout(over, deadlineMs) };
    });
  }

  #settle(): Waiting | undefined {
    const waiting = this.#waiting;
    if (waiting) clearTimeout(waiting.timer);
    this.#waiting = undefined;
    return waiting;
  }

  #end(error: EngineError): void {
    const waiting = this.#settle();
    if (!this.#ended) {
      this.#ended = error;
      this.#port.close();
      void this.#worker.terminate();
    }
    waiting?.reject(error);
  }

  #received(reply: WorkerReply): void {
    if (this.#ended) return;
    switch (reply.type) {
      case "ready":
        this.#settle()?.resolve(undefined);
        return;
      case "line":
        void this.#host("capstan:plugin/log", "write", [reply.level, reply.message]);
        return;
      case "done":
        this.cost = reply.cost;
        this.#settle()?.resolve(reply.value);
        return;
      case "error": {
        this.cost = reply.cost;
        const error = new EngineError(reply.kind, reply.message, reply.payload);
        if (error.ended) this.#end(error);
        else this.#settle()?.reject(error);
        return;
      }
      case "host":
        void this.#answer(reply.interfaceName, reply.functionName, reply.args);
        return;
    }
  }

  async #answer(interfaceName: string, functionName: string, args: unknown[]): Promise<void> {
    let answer: { tag: string; val: unknown };
    try {
      answer = { tag: "ok", val: await this.#host(interfaceName, functionName, args) };
    } catch (error) {
      answer =
        error instanceof HostFailure
          ? { tag: "err", val: error.payload }
          : { tag: "trap", val: error instanceof Error ? error.message : String(error) };
    }
    if (this.#ended) return;
    this.#port.postMessage(answer);
    Atomics.store(this.#flag, 0, 1);
    Atomics.notify(this.#flag, 0);
  }
}
