/** What a caller of a plugin gets when the plugin did not answer: which plugin, which hook, which limit. */
export type CallErrorKind =
  /** The instance was stopped. */
  | "trap"
  | "deadline"
  | "memory"
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
  constructor(
    plugin: string,
    hook: string,
    kind: CallErrorKind,
    message: string,
    failure?: { reason: string; code: number; details: string },
  ) {
    super(kind === "failure" ? message : `plugin ${plugin}, hook ${hook}: ${message}`);
    this.name = "PluginCallError";
    this.plugin = plugin;
    this.hook = hook;
    this.kind = kind;
    this.reason = failure?.reason ?? kind;
    this.code = failure?.code ?? { deadline: 4, unavailable: 14 }[kind as string] ?? 13;
    this.details = failure?.details ?? "";
  }
}
