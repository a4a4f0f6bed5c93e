import { messageOf } from "#platform/base/log.ts";
import { EngineError } from "#sdk/engine/port.ts";

/** What a caller of a plugin gets when the plugin did not answer: which plugin, which hook, which limit. */
export type CallErrorKind =
  /** The instance was stopped. */
  | "trap"
  | "deadline"
  | "memory"
  | "fuel"
  | "size"
  /** The hook answered with its own failure; `reason`, `code` and `details` are the plugin's. */
  | "failure"
  /** Not enabled, not yet loaded, backing off, quarantined, or the queue is full. */
  | "unavailable"
  /** The contract was broken: wrong arguments, a missing export, an answer that cannot be read. */
  | "invalid";

export class PluginCallError extends Error {
  readonly plugin: string;
  readonly hook: string;
  readonly kind: CallErrorKind;
  readonly reason: string;
  /** HTTP or gRPC status as the failing hook's world has it; for the other kinds a gRPC status (4, 13, 14). */
  readonly code: number;
  readonly details: string;
  /** The message without the plugin's and the hook's names. */
  readonly why: string;
  constructor(
    plugin: string,
    hook: string,
    kind: CallErrorKind,
    message: string,
    failure?: { reason: string; code: number; details: string },
  ) {
    super(kind === "failure" ? message : `plugin ${plugin}, hook ${hook}: ${message}`);
    this.name = "PluginCallError";
    this.why = message;
    this.plugin = plugin;
    this.hook = hook;
    this.kind = kind;
    this.reason = failure?.reason ?? kind;
    this.code = failure?.code ?? { deadline: 4, unavailable: 14 }[kind as string] ?? 13;
    this.details = failure?.details ?? "";
  }
}

/** Of what a plugin says itself: it goes to clients, and into logs and events. */
const MESSAGE_CHARACTERS_MAX = 8192;
const REASON_CHARACTERS_MAX = 64;
const DETAILS_CHARACTERS_MAX = 65_536;

/** What an engine threw in a call with these limits. `plugin`: "name" of root's, "tenant/name" of another tenant's. */
export function callErrorOf(
  plugin: string,
  hook: string,
  error: unknown,
  limits: { version: string; memoryMiB: number; deadlineMs: number; fuel?: number },
): PluginCallError {
  if (error instanceof EngineError && error.kind === "failure") {
    const failure = error.payload as { reason: string; code: number; message: string; details: string };
    const details = failure.details.length > DETAILS_CHARACTERS_MAX ? "" : failure.details;
    const bounded = { ...failure, reason: failure.reason.slice(0, REASON_CHARACTERS_MAX), details };
    return new PluginCallError(plugin, hook, "failure", failure.message.slice(0, MESSAGE_CHARACTERS_MAX), bounded);
  }
  const kind = error instanceof EngineError && error.kind !== "failure" ? error.kind : "trap";
  const causes: Partial<Record<CallErrorKind, string>> = {
    deadline: `it was stopped at its deadline of ${limits.deadlineMs} ms`,
    memory: `it was stopped at its memory cap of ${limits.memoryMiB} MiB`,
    fuel: `it was stopped: a call may cost ${limits.fuel} units of work`,
  };
  return new PluginCallError(plugin, hook, kind, `${causes[kind] ?? messageOf(error)} (version ${limits.version})`);
}
