/**
 * From a core module to a component of the contract: its world embedded, WASI preview 1 (where the module asks for it) answered by
 * the contract's clock and log (guests/preview1.wat), so that nothing else is imported.
 */
import { readFileSync } from "node:fs";
import { join } from "node:path";

export const ADAPTER_SOURCE: string = readFileSync(join(import.meta.dirname, "guests/preview1.wat"), "utf8");
const PREVIEW1 = "wasi_snapshot_preview1";

/** `wit` has the contract and a world `component`. Throws with the toolchain's message where module and world do not agree. */
export async function componentOf(module: Uint8Array<ArrayBuffer>, wit: string): Promise<Buffer> {
  const { componentNew, parse } = await import("@bytecodealliance/jco");
  const embedded = await embed(module, wit, "component");
  const imports = WebAssembly.Module.imports(await WebAssembly.compile(module));
  const adapters: [string, Uint8Array][] = imports.some((i) => i.module === PREVIEW1)
    ? [[PREVIEW1, await embed(await parse(ADAPTER_SOURCE), adapterWit(wit), "adapter")]]
    : [];
  return Buffer.from(await componentNew(embedded, adapters));
}

const adapterWit = (wit: string): string => `${wit}\nworld adapter {\n  import clock;\n  import log;\n}\n`;

async function embed(binary: Uint8Array, witSource: string, world: string): Promise<Uint8Array> {
  const { componentEmbed } = await import("@bytecodealliance/jco");
  return await componentEmbed({ binary, witSource, world });
}
