/** Worker: components in, their JavaScript and core modules out (transpiler.ts). */
import { parentPort } from "node:worker_threads";
import { transpile } from "@bytecodealliance/jco";
import type { TranspileReply, TranspileRequest } from "./transpiler.ts";

async function answer({ bytes, instantiation }: TranspileRequest): Promise<TranspileReply> {
  try {
    const { files, imports, exports } = await transpile(bytes, {
      name: "component",
      instantiation,
      noTypescript: true,
      nodejsCompat: false,
      wasiShim: false,
      base64Cutoff: 0,
    });
    const entries = Object.entries(files).filter(([name]) => !name.endsWith(".d.ts"));
    const interfaces = exports.filter(([, kind]) => kind === "instance").map(([name]) => name);
    const named = { "imports.json": JSON.stringify(imports), "exports.json": JSON.stringify(interfaces) };
    return { files: [...entries, ...Object.entries(named)] };
  } catch (error) {
    return { error: error instanceof Error ? error.message : String(error) };
  }
}

parentPort?.on("message", (request: TranspileRequest) => {
  void answer(request).then((reply) => parentPort?.postMessage(reply));
});
