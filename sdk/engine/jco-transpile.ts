/** Worker: a component's bytes in, its JavaScript and core modules out, as [file name, contents]. */
import { parentPort, workerData } from "node:worker_threads";
import { transpile } from "@bytecodealliance/jco";

const { bytes, instantiation } = workerData as { bytes: Uint8Array; instantiation: "async" | "sync" };
const { files, imports } = await transpile(bytes, {
  name: "component",
  instantiation,
  noTypescript: true,
  nodejsCompat: false,
  wasiShim: false,
  base64Cutoff: 0,
});
const entries = Object.entries(files).filter(([name]) => !name.endsWith(".d.ts"));
parentPort?.postMessage([...entries, ["imports.json", JSON.stringify(imports)]]);
