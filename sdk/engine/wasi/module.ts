/**
 * A core module of WASI preview 1 (what Go's wasip1 and C's toolchains make) as a program. Node has that interface itself; what the guest
 * writes to its output goes to the log.
 */
import { readFileSync } from "node:fs";
import { WASI } from "node:wasi";
import { limitMemory } from "../memory-limit.ts";
import type { LogFile } from "./log-file.ts";
import type { GuestSpec } from "./spec.ts";

const STDOUT = 1;
const STDERR = 2;
const ERRNO_SUCCESS = 0;

/** `ended` is asked before what it rejects with is believed: the memory that the guest has by then. */
export function runModule(path: string, spec: GuestSpec, log: LogFile, ended: (memoryBytes: number) => void): number {
  const bytes = limitMemory(readFileSync(path), spec.memoryBytesMax);
  const wasi = new WASI({
    version: "preview1",
    args: spec.args,
    env: Object.fromEntries(spec.env),
    preopens: Object.fromEntries(spec.mounts.map(({ guest, host }) => [guest, host])),
    returnOnExit: true,
  });
  const imports = wasi.getImportObject() as { wasi_snapshot_preview1: Record<string, (...args: number[]) => number> };
  const native = imports.wasi_snapshot_preview1;
  const memory = () => instance.exports["memory"] as WebAssembly.Memory;
  const write = native["fd_write"];
  native["fd_write"] = (fd = 0, vectors = 0, count = 0, written = 0) => {
    if (fd !== STDOUT && fd !== STDERR) return write?.(fd, vectors, count, written) ?? ERRNO_SUCCESS;
    const view = new DataView(memory().buffer);
    let total = 0;
    for (let i = 0; i < count; i++) {
      const at = view.getUint32(vectors + i * 8, true);
      const length = view.getUint32(vectors + i * 8 + 4, true);
      log.write(fd === STDOUT ? "stdout" : "stderr", new Uint8Array(memory().buffer, at, length));
      total += length;
    }
    view.setUint32(written, total, true);
    return ERRNO_SUCCESS;
  };
  const instance = new WebAssembly.Instance(new WebAssembly.Module(bytes), {
    wasi_snapshot_preview1: native,
  } as WebAssembly.Imports);
  try {
    return wasi.start(instance);
  } finally {
    ended(memory().buffer.byteLength);
  }
}
