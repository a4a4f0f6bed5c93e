/**
 * Threads that turn components into JavaScript (jco-transpile.ts), because it takes half a second of computing: as many as there are processors,
 * each for one component after the other while there are some, since a fresh one is slow at first.
 */
import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";

export interface TranspileRequest {
  bytes: Uint8Array;
  /** "sync": it is instantiated without waiting. */
  instantiation: "async" | "sync";
}

export type TranspileReply = { files: [name: string, contents: Uint8Array | string][] } | { error: string };

interface Job {
  request: TranspileRequest;
  resolve(files: [string, Uint8Array | string][]): void;
  reject(error: Error): void;
}

const scriptUrl = new URL("./jco-transpile.ts", import.meta.url);
const THREADS_MAX = 4;
/** A thread holds some ten megabytes. */
const IDLE_MS = 2_000;

const waiting: Job[] = [];
const idle: { worker: Worker; ends: NodeJS.Timeout }[] = [];
let threads = 0;

/** [file name, contents] of the component's JavaScript and core modules. Rejects with what is wrong with the component. */
export const transpileInThread = (request: TranspileRequest): Promise<[string, Uint8Array | string][]> =>
  new Promise((resolve, reject) => {
    waiting.push({ request, resolve, reject });
    const free = idle.pop();
    if (free) {
      clearTimeout(free.ends);
      next(free.worker);
    } else if (threads < Math.min(THREADS_MAX, availableParallelism())) {
      threads++;
      next(new Worker(scriptUrl));
    }
  });

function next(worker: Worker): void {
  const job = waiting.shift();
  if (!job) {
    worker.unref();
    idle.push({ worker, ends: setTimeout(() => end(worker), IDLE_MS).unref() });
    return;
  }
  worker.ref();
  const settled = () => {
    worker.off("error", failed);
    worker.off("exit", gone);
    worker.off("message", answered);
  };
  const failed = (error: Error) => {
    settled();
    threads--;
    void worker.terminate();
    job.reject(error);
    if (waiting.length === 0) return;
    // Its place is another's.
    threads++;
    next(new Worker(scriptUrl));
  };
  const gone = () => failed(new Error("the transpiler ended without an answer"));
  const answered = (reply: TranspileReply) => {
    settled();
    if ("error" in reply) job.reject(new Error(reply.error));
    else job.resolve(reply.files);
    next(worker);
  };
  worker.on("error", failed);
  worker.on("exit", gone);
  worker.on("message", answered);
  worker.postMessage(job.request);
}

function end(worker: Worker): void {
  const place = idle.findIndex((one) => one.worker === worker);
  if (place < 0) return;
  idle.splice(place, 1);
  threads--;
  void worker.terminate();
}
