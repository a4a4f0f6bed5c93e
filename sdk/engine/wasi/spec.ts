/**
 * What a process that runs one component as a program is told, and what it leaves behind. Files, because they outlive whoever started it, and
 * because arguments of a process can be read by everybody on its machine.
 */

export interface GuestSpec {
  /** Made by `transpiled` (../jco.ts), "sync"; or the file of a core module (module.ts). */
  component: { folder: string } | { module: string };
  /** The first is the program's own name. */
  args: string[];
  env: [name: string, value: string][];
  /** Directories that the guest sees, and under which path. */
  mounts: { guest: string; host: string; readonly: boolean }[];
  memoryBytesMax: number;
  /** Appended to in CRI's format. */
  log: string;
  /** A GuestExit as JSON appears there, whole, when the guest has ended by itself. */
  exitFile: string;
  /** Where a guest that exports wasi:http/incoming-handler is served. */
  listen: { host: string; port: number }[];
  /**
   * It may ask others: HTTP requests, sockets and names. Only where whoever starts the process has put it in a network of the pod's own,
   * which is what holds it to the pod's policies.
   */
  egress: boolean;
}

export interface GuestExit {
  exitCode: number;
  /** "OOMKilled", "Error" or "Completed", as container statuses say it. */
  reason: string;
  message: string;
  /** Milliseconds since the epoch. */
  finishedAt: number;
}

/** wasi:cli/run, without its version: the guest is a program that ends. */
export const RUN = "wasi:cli/run";
/** The guest answers HTTP requests for as long as it is wanted. */
export const INCOMING_HANDLER = "wasi:http/incoming-handler";

/** What a shell would say of a process that aborted, and of one that was killed. */
export const EXIT_ABORTED = 134;
export const EXIT_KILLED = 137;

/** Core modules and components begin alike; the layer number tells them apart. */
export const isCoreModule = (bytes: Uint8Array): boolean => bytes[4] === 1 && bytes[6] === 0;
