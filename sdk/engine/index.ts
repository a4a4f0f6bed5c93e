/** Makes an engine by name. */
import { createJcoEngine } from "./jco.ts";
import type { Engine, EngineName, EngineOptions } from "./port.ts";
import { createWasmtimeEngine } from "./wasmtime.ts";

/** Throws where "wasmtime" is asked for and its addon is not built. */
export const createEngine = (name: EngineName, options: EngineOptions): Engine =>
  name === "wasmtime" ? createWasmtimeEngine(options) : createJcoEngine(options);
