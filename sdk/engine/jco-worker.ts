/**
 * Worker: one instance of one component. Calls come as messages; a host call is posted and the thread waits for its answer, as
 * the guest does. Nothing but the named imports is linked: what WASI offers are functions that trap.
 */
import { parentPort, receiveMessageOnPort, workerData } from "node:worker_threads";
import type { WorkerCall, WorkerReply, WorkerStart } from "./jco.ts";
import { cross, Own, TooMuch } from "./jco-own.ts";
import type { EngineError } from "./port.ts";

type GuestFunction = (...args: unknown[]) => unknown;
type Exports = Record<string, Record<string, GuestFunction> | GuestFunction | undefined>;
interface Script {
  instantiate(
    module: (name: string) => WebAssembly.Module | undefined,
    imports: Record<string, unknown>,
    instantiate: (module: WebAssembly.Module, imports: WebAssembly.Imports) => WebAssembly.Instance,
  ): Promise<Exports>;
}

const start = workerData as WorkerStart;
const reply = (message: WorkerReply): void => parentPort?.postMessage(message);
const memories = new Set<WebAssembly.Memory>();
const memoryBytes = () => [...memories].reduce((sum, memory) => sum + memory.buffer.byteLength, 0);
let waitedMs = 0;
const own = start.own && new Own(start.own, (level, message) => reply({ type: "line", level, message }));

function hostCall(interfaceName: string, functionName: string, args: unknown[]): unknown {
  cross(`what ${interfaceName} ${functionName} is given`, args, start.crossingBytesMax);
  const started = performance.now();
  Atomics.store(start.hostFlag, 0, 0);
  reply({ type: "host", interfaceName, functionName, args });
  Atomics.wait(start.hostFlag, 0, 0);
  const answer = receiveMessageOnPort(start.hostPort)?.message as { tag: string; val: unknown } | undefined;
  waitedMs += performance.now() - started;
  if (answer?.tag === "ok") return answer.val;
  // jco takes `payload` for the function's own error value; an error without it goes through the guest as a trap.
  if (answer?.tag === "err") throw Object.assign(new Error("host call failed"), { payload: answer.val });
  throw new Error(`trap: ${String(answer?.val)}`);
}

function linked(interfaceName: string): unknown {
  const prefix = start.importPrefixes.find((one) => interfaceName.startsWith(one));
  const granted = prefix !== undefined;
  const mine = own?.functions[interfaceName.slice(prefix?.length).replace(/@.*/, "")];
  if (granted && mine) return mine;
  return new Proxy(
    {},
    {
      get: (_target, name) =>
        granted
          ? (...args: unknown[]) => hostCall(interfaceName, String(name), args)
          : function absent() {
              throw new Error(`trap: ${interfaceName} ${String(name)} is not granted to components`);
            },
    },
  );
}

const imports = Object.fromEntries(start.imports.map((name) => [name, linked(name)]));
const script = (await import(start.script)) as Script;
const component = await script.instantiate(
  (name) => start.modules.get(name),
  imports,
  (module, coreImports) => {
    const instance = new WebAssembly.Instance(module, coreImports);
    for (const value of Object.values(instance.exports)) {
      if (value instanceof WebAssembly.Memory) memories.add(value);
    }
    return instance;
  },
);

function find(interfaceName: string, functionName: string): GuestFunction | undefined {
  const exported = component[interfaceName];
  return typeof exported === "object" ? exported[functionName] : undefined;
}

const hasPayload = (error: unknown): error is Error & { payload: unknown } =>
  error instanceof Error && error.constructor.name === "ComponentError" && "payload" in error;

/** Throws TooMuch, and what the guest throws. */
function answerOf(guest: GuestFunction, args: unknown[]): unknown {
  let value: unknown;
  try {
    value = guest(...args);
  } catch (error) {
    if (hasPayload(error)) cross("its answer", error.payload, start.crossingBytesMax);
    throw error;
  }
  cross("its answer", value, start.crossingBytesMax);
  return value;
}

parentPort?.on("message", ({ interfaceName, functionName, args }: WorkerCall) => {
  const guest = find(interfaceName, functionName);
  const started = performance.now();
  waitedMs = 0;
  const cost = () => {
    own?.end();
    return { micros: (performance.now() - started - waitedMs) * 1000, memoryBytes: memoryBytes() };
  };
  const failed = (kind: EngineError["kind"], message: string, payload?: unknown) =>
    reply({ type: "error", kind, message, payload, cost: cost() });
  if (!guest) return failed("invalid", `the component has no ${interfaceName} ${functionName}`);
  const tooLarge = () => memoryBytes() > start.memoryBytesMax;
  const cap = `the memory cap of ${start.memoryBytesMax} bytes is reached`;
  try {
    const value = answerOf(guest, args);
    if (tooLarge()) return failed("memory", cap);
    reply({ type: "done", value, cost: cost() });
  } catch (error) {
    if (tooLarge()) return failed("memory", cap);
    if (error instanceof TooMuch) return failed("size", error.message);
    if (hasPayload(error)) return failed("failure", `${functionName} failed`, error.payload);
    failed("trap", error instanceof Error ? error.message : String(error));
  }
});

reply({ type: "ready" });
