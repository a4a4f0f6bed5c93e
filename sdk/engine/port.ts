/**
 * The engine port: runs components. Two implementations, `wasmtime.ts` (the Rust addon) and `jco.ts` (V8 in workers), run the same
 * component and give the same JavaScript values: records as objects with camelCase names, variants as {tag, val}, options as
 * the value or undefined, enums as their names, lists of numbers as typed arrays (plain arrays are accepted), 64-bit integers as
 * BigInt. Pools, back-off and policy are the caller's.
 */

export type EngineName = "wasmtime" | "jco";

/**
 * An imported function's answer. Throw a HostFailure for the function's own error (`result<…, E>`); anything else thrown ends
 * the call with a trap. `interface` is without its version: "capstan:plugin/api".
 */
export type HostCall = (interfaceName: string, functionName: string, args: unknown[]) => Promise<unknown> | unknown;

/** Crosses into the guest as the error value of the imported function. */
export class HostFailure extends Error {
  readonly payload: unknown;
  constructor(payload: unknown, message = "host call failed") {
    super(message);
    this.name = "HostFailure";
    this.payload = payload;
  }
}

/** What ended an instance: it is never entered again. */
export type StopKind = "trap" | "deadline" | "memory" | "fuel" | "size";

export class EngineError extends Error {
  /** "failure": the export's own error value (in `payload`); "invalid": wrong names or arguments. Both leave the instance usable. */
  readonly kind: StopKind | "failure" | "invalid";
  readonly payload: unknown;
  constructor(kind: EngineError["kind"], message: string, payload?: unknown) {
    super(message);
    this.name = "EngineError";
    this.kind = kind;
    this.payload = payload;
  }
  /** The instance cannot be used any more. */
  get ended(): boolean {
    return this.kind !== "failure" && this.kind !== "invalid";
  }
}

/** What the imports `config` answer. */
export interface OwnTexts {
  config: string;
  facts: string;
}

export interface InstanceOptions {
  memoryBytesMax: number;
  /**
   * Of an answer, and of what a host call is given: it takes the time of the caller's thread. More ends the instance ("size").
   * CROSSING_BYTES_MAX where it is left out.
   */
  crossingBytesMax?: number;
  /** For the instantiation itself. */
  deadlineMs: number;
  host: HostCall;
  /** A call that computes for more than some milliseconds rests about half of the time from then on, where the engine can: others go before it. */
  rests?: boolean;
  /** What a call may burn, of a component that was loaded to be counted; undefined: as much as it wants. */
  fuelMax?: number;
  /**
   * Calls of `config` (answered with these texts), `clock` and `log` are answered where the guest runs. The host is told the lines when the call
   * is over at the latest, a hundred at most. Left out: they are host calls as all others.
   */
  own?: OwnTexts;
  /**
   * The component makes no host calls beside those that `own` answers: an engine that can may enter the instance on the caller's thread, which
   * stands still until the call is over. Other host calls trap there.
   */
  pure?: boolean;
}

export interface Cost {
  /** Microseconds of the guest, host calls not counted (jco: counted). */
  micros: number;
  memoryBytes: number;
  /** Of a component that was loaded to be counted: about one an instruction, the same each time on every machine. */
  fuel?: number;
}

export interface Instance {
  /**
   * Calls `functionName` of the exported interface ("capstan:plugin/filter-hooks@1.0.0"); one call at a time. The deadline covers
   * everything, host calls included. `runningMsMax`: so long a pure instance may compute, while a machine that is busy otherwise takes none of it;
   * more ends it as the deadline does. Throws EngineError.
   */
  call(
    interfaceName: string,
    functionName: string,
    args: unknown[],
    deadlineMs: number,
    runningMsMax?: number,
  ): Promise<unknown>;
  /** It is entered on the caller's thread: `call` has done its work when it returns its promise. */
  readonly pure: boolean;
  /** Of the last call. */
  readonly cost: Cost;
  /** Frees everything; a call under way ends with a trap. */
  discard(): Promise<void>;
}

export interface Component {
  readonly digest: string;
  /** The interfaces it exports: "capstan:plugin/filter-hooks@1.0.0". */
  readonly exports: ReadonlySet<string>;
  instantiate(options: InstanceOptions): Promise<Instance>;
}

export interface LoadOptions {
  /** Its work is counted, at some cost of speed. Rejected by an engine that cannot. */
  fuel?: boolean;
}

export interface Engine {
  readonly name: EngineName;
  /**
   * Compiles, or takes from the cache. `digest` ("sha256:HEX") is the name in the cache: the caller has verified the bytes.
   * Imports outside of the package prefixes (WASI, for example) are functions that trap.
   */
  load(bytes: Uint8Array, digest: string, options?: LoadOptions): Promise<Component>;
}

export interface EngineOptions {
  /** Where compiled code is kept; made with access for the owner only. */
  cacheDir: string;
  /** Which imports reach the host: "capstan:plugin/". */
  importPrefixes: string[];
}

/** "capstan:plugin/api@1.0.0" → "capstan:plugin/api". */
export const withoutVersion = (interfaceName: string): string => interfaceName.replace(/@[^@]*$/, "");

export const CROSSING_BYTES_MAX = 16 * 1024 * 1024;

/** Of one call, and of one line; what is beyond is counted and left out. */
export const LINES_MAX = 100;
export const LINES_CHARACTERS_MAX = 65_536;
export const LINE_CHARACTERS_MAX = 4096;

/** The imports that reach the host; all others are functions that trap. */
export const CONTRACT_PREFIX = "capstan:plugin/";

/** Where the code compiled from the components of a directory is kept. */
export const compiledDir = (componentsDir: string): string => `${componentsDir}/cache`;
