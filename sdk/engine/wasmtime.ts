/** The engine port over the wasmtime addon. */
import { mkdirSync } from "node:fs";
import {
  type Line,
  loadAddon,
  type NativeComponent,
  type NativeInstance,
  type NativePureInstance,
  PURE_TAGS,
} from "./addon.ts";
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
  withoutVersion,
} from "./port.ts";

const camel = (name: string) => name.replace(/-(.)/g, (_, letter: string) => letter.toUpperCase());
const kebab = (name: string) => name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);

export function createWasmtimeEngine(options: EngineOptions): Engine {
  const addon = loadAddon();
  mkdirSync(options.cacheDir, { recursive: true, mode: 0o700 });
  return {
    name: "wasmtime",
    async load(bytes, digest, { fuel = false } = {}) {
      const native = await addon.load(Buffer.from(bytes), digest, options.cacheDir, options.importPrefixes, fuel);
      return new WasmtimeComponent(digest, native, fuel);
    },
  };
}

class WasmtimeComponent implements Component {
  readonly digest: string;
  readonly exports: ReadonlySet<string>;
  readonly #native: NativeComponent;
  readonly #counted: boolean;
  constructor(digest: string, native: NativeComponent, counted: boolean) {
    this.digest = digest;
    this.exports = new Set(native.exports);
    this.#native = native;
    this.#counted = counted;
  }
  async instantiate(o: InstanceOptions): Promise<Instance> {
    const { memoryBytesMax, crossingBytesMax = CROSSING_BYTES_MAX, deadlineMs, rests = false, own } = o;
    const options = { memoryBytesMax, crossingBytesMax, deadlineMs, rests, ...(own ? { own } : {}) };
    try {
      if (o.pure) {
        const outcome = new Float64Array(5);
        const native = this.#native.instantiatePure(options, outcome);
        return new PureInstance(native, outcome, o, this.#counted);
      }
      const native = await this.#native.instantiate(options, answering(o.host));
      return new WasmtimeInstance(native, o, this.#counted);
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
    case "fuel":
    case "size":
      throw new EngineError(tag, String(value));
    default:
      throw new EngineError("trap", withoutBacktrace(String(value)));
  }
}

function tell(host: HostCall, lines: readonly Line[] | undefined): void {
  for (const line of lines ?? []) void host("capstan:plugin/log", "write", line);
}

const wholeMs = (deadlineMs: number): number => Math.max(1, Math.ceil(deadlineMs));

class WasmtimeInstance implements Instance {
  readonly pure = false;
  cost: Cost = { micros: 0, memoryBytes: 0 };
  readonly #native: NativeInstance;
  readonly #host: HostCall;
  readonly #fuelMax: number | undefined;
  readonly #counted: boolean;
  constructor(native: NativeInstance, { host, fuelMax }: InstanceOptions, counted: boolean) {
    this.#native = native;
    this.#host = host;
    this.#fuelMax = fuelMax;
    this.#counted = counted;
  }
  async call(interfaceName: string, functionName: string, args: unknown[], deadlineMs: number): Promise<unknown> {
    const exported = kebab(functionName);
    const answer = await this.#native.call(interfaceName, exported, args, wholeMs(deadlineMs), this.#fuelMax);
    const [tag, value, micros, memoryBytes, fuel, lines] = answer;
    this.cost = { micros, memoryBytes, ...(this.#counted ? { fuel } : {}) };
    tell(this.#host, lines);
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
  readonly #fuelMax: number | undefined;
  readonly #counted: boolean;
  readonly #exports = new Map<string, number>();
  constructor(native: NativePureInstance, outcome: Float64Array, o: InstanceOptions, counted: boolean) {
    this.#native = native;
    this.#outcome = outcome;
    this.#host = o.host;
    this.#fuelMax = o.fuelMax;
    this.#counted = counted;
  }

  get cost(): Cost {
    const [, micros = 0, memoryBytes = 0, , fuel = 0] = this.#outcome;
    return { micros, memoryBytes, ...(this.#counted ? { fuel } : {}) };
  }

  async call(
    interfaceName: string,
    functionName: string,
    args: unknown[],
    deadlineMs: number,
    runningMsMax?: number,
  ): Promise<unknown> {
    const exported = this.#find(interfaceName, functionName);
    const value = this.#native.call(exported, args, wholeMs(deadlineMs), runningMsMax, this.#fuelMax);
    const [tag = 3, , , lines = 0] = this.#outcome;
    if (lines > 0) tell(this.#host, this.#native.lines());
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
