/** The engine port over the wasmtime addon. */
import { mkdirSync } from "node:fs";
import { loadAddon, type NativeComponent, type NativeInstance } from "./addon.ts";
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

class WasmtimeInstance implements Instance {
  cost: Cost = { micros: 0, memoryBytes: 0 };
  readonly #native: NativeInstance;
  constructor(native: NativeInstance) {
    this.#native = native;
  }
  async call(interfaceName: string, functionName: string, args: unknown[], deadlineMs: number): Promise<unknown> {
    const answer = await this.#native.call(
      interfaceName,
      kebab(functionName),
      args,
      Math.max(1, Math.ceil(deadlineMs)),
    );
    const [tag, value, micros, memoryBytes] = answer;
    this.cost = { micros, memoryBytes };
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
  discard(): Promise<void> {
    return this.#native.discard();
  }
}
