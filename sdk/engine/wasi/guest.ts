/** A transpiled component, made alive: again after each trap, because what trapped is never entered again. */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { limitMemory } from "../memory-limit.ts";

type GuestExports = Record<string, unknown>;
interface Script {
  instantiate(
    module: (name: string) => WebAssembly.Module | undefined,
    imports: Record<string, object>,
    instantiate: (module: WebAssembly.Module, imports: WebAssembly.Imports) => WebAssembly.Instance,
  ): GuestExports;
}

export interface Guest {
  /** An exported interface by its name without a version; undefined: it has none of that name. */
  find(interfaceName: string): Record<string, (...args: unknown[]) => unknown> | undefined;
  memoryBytes(): number;
}

/** `folder` is for instantiation without waiting. Answers how instances are made. Rejects where it cannot be compiled, or needs more memory than it may have. */
export async function prepareGuest(
  folder: string,
  memoryBytesMax: number,
  imports: Record<string, object>,
): Promise<() => Guest> {
  const names = readdirSync(folder).filter((name) => name.endsWith(".wasm"));
  const modules = new Map(
    await Promise.all(
      names.map(async (name) => {
        const bytes = limitMemory(readFileSync(join(folder, name)), memoryBytesMax);
        return [name, await WebAssembly.compile(bytes)] as const;
      }),
    ),
  );
  const script = (await import(pathToFileURL(join(folder, "component.js")).href)) as Script;
  return () => {
    const memories = new Set<WebAssembly.Memory>();
    const exported = script.instantiate(
      (name) => modules.get(name),
      imports,
      (module, coreImports) => {
        const instance = new WebAssembly.Instance(module, coreImports);
        for (const value of Object.values(instance.exports))
          if (value instanceof WebAssembly.Memory) memories.add(value);
        return instance;
      },
    );
    return {
      find(interfaceName) {
        const name = Object.keys(exported).find((key) => key.replace(/@.*$/, "") === interfaceName);
        return name === undefined ? undefined : (exported[name] as ReturnType<Guest["find"]>);
      },
      memoryBytes: () => [...memories].reduce((sum, memory) => sum + memory.buffer.byteLength, 0),
    };
  };
}
