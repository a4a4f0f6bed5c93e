/** The engine port over the wasmtime addon. */
import { mkdirSync } from "node:fs";
import { loadAddon, type NativeComponent, type NativeInstance, type NativePureInstance, PURE_TAGS } from "./addon.ts";
import {
  type Component,
  type Cost,
  type Engine,
  EngineError,
  type EngineOptions,
  type HostCall,
  HostFailure,
  type Instance,
  type InstanceOptions,
  withoutVersion,
} from "./port.ts";

const camel = (name: string) => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

export function createWasmtimeEngine(options: EngineOptions): Engine {
  const addon = loadAddon();
  mkdirSync(options.cacheDir, { recursive: true, mode: 0o700 });
  return {
    name: "wasmtime",
    async load(bytes, digest) {
      const native = await addon.load(Buffer.from(bytes), digest, options.cacheDir, options.importPrefixes);
      return new WasmtimeComponent(digest, native);
    },
  };
}

class WasmtimeComponent implements Component {
  readonly digest: string;
  readonly #native: NativeComponent;
  constructor(digest: string, native: NativeComponent) {
    this.digest = digest;
    this.#native = native;
  }
  async instantiate(o: InstanceOptions): Promise<Instance> {
    try {
      if (o.pure) {
        const outcome = new Float64Array(4);
        const { config, facts } = o.pure;
        const native = this.#native.instantiatePure(o.memoryBytesMax, o.deadlineMs, config, facts, outcome);
        return new PureInstance(native, outcome, o.host);
      }
      return new WasmtimeInstance(await this.#native.instantiate(o.memoryBytesMax, o.deadlineMs, answering(o.host)));
    } catch (error) {
      throw new EngineError("trap", error instanceof Error ? error.message : String(error));
    }
  }
}

/** The host's function as the addon wants it: never rejecting. */
const answering = (host: HostCall) => async (interfaceName: string, functionName: string, args: unknown[]) => {
  try {
    return { tag: "ok", val: await host(withoutVersion(interfaceName), camel(functionName), args) };
  } catch (error) {
    if (error instanceof HostFailure) return { tag: "err", val: error.payload };
    return { tag: "trap", val: error instanceof Error ? error.message : String(error) };
  }
};

/** Wasmtime puts the guest's frames before the cause: numbers of functions, which tell nobody anything. */
const withoutBacktrace = (message: string): string => {
  const lastFrame = /\n\s*\d+:\s+0x[0-9a-f]+ - .*?: ([^\n]*)$/.exec(message);
  return lastFrame?.[1] ?? message;
};

/** What a call answered; throws EngineError for everything that is no value. */
function answerOf(functionName: string, tag: string | undefined, value: unknown): unknown {
  switch (tag) {
    case "ok":
      return value;
    case "err":
      throw new EngineError("failure", `${functionName} failed`, value);
    case "invalid":
    case "deadline":
    case "memory":
      throw new EngineError(tag, String(value));
    default:
      throw new EngineError("trap", withoutBacktrace(String(value)));
  }
}

const wholeMs = (deadlineMs: number): number => Math.max(1, Math.ceil(deadlineMs));

class WasmtimeInstance implements Instance {
  readonly pure = false;
  cost: Cost = { micros: 0, memoryBytes: 0 };
  readonly #native: NativeInstance;
  constructor(native: NativeInstance) {
    this.#native = native;
  }
  async call(interfaceName: string, functionName: string, args: unknown[], deadlineMs: number): Promise<unknown> {
    const answer = await this.#native.call(interfaceName, kebab(functionName), args, wholeMs(deadlineMs));
    const [tag, value, micros, memoryBytes] = answer;
    this.cost = { micros, memoryBytes };
    return answerOf(functionName, tag, value);
  }
  discard(): Promise<void> {
    return this.#native.discard();
  }
}

class PureInstance implements Instance {
  readonly pure = true;
  readonly #native: NativePureInstance;
  readonly #outcome: Float64Array;
  readonly #host: HostCall;
  readonly #exports = new Map<string, number>();
  constructor(native: NativePureInstance, outcome: Float64Array, host: HostCall) {
    this.#native = native;
    this.#outcome = outcome;
    this.#host = host;
  }

  get cost(): Cost {
    return { micros: this.#outcome[1] ?? 0, memoryBytes: this.#outcome[2] ?? 0 };
  }

  async call(interfaceName: string, functionName: string, args: unknown[], deadlineMs: number): Promise<unknown> {
    const exported = this.#find(interfaceName, functionName);
    const value = this.#native.call(exported, args, wholeMs(deadlineMs));
    const [tag = 3, , , lines = 0] = this.#outcome;
    if (lines > 0) for (const line of this.#native.lines()) void this.#host("capstan:plugin/log", "write", line);
    return answerOf(functionName, PURE_TAGS[tag], value);
  }

  async discard(): Promise<void> {
    this.#native.discard();
  }

  #find(interfaceName: string, functionName: string): number {
    const key = `${interfaceName}#${functionName}`;
    let exported = this.#exports.get(key);
    if (exported === undefined) {
      try {
        exported = this.#native.find(interfaceName, kebab(functionName));
      } catch (error) {
        throw new EngineError("invalid", error instanceof Error ? error.message : String(error));
      }
      this.#exports.set(key, exported);
    }
    return exported;
  }
}
