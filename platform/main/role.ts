/** A role is a process: `capstan --role NAME`. Its composition root is platform/main/roles/NAME.ts, exporting `start`. */
import type { Log } from "#platform/base/log.ts";
import type { Config } from "./config.ts";

export interface RoleContext {
  config: Config;
  log: Log;
  /** The node this process is the agent of; only for the role "node". */
  nodeName?: string;
  /** Which of several schedulers, from 0; only for the role "scheduler". */
  index?: number;
}

export interface RunningRole {
  /** Resolves when the role can do its work (the API server answers /readyz, a loop has synced). */
  ready: Promise<void>;
  /** Graceful stop; kill -9 must be survivable without it. */
  stop(): Promise<void>;
}

export type StartRole = (context: RoleContext) => Promise<RunningRole>;
