/** Failures as they cross the contract (types.failure), on either side of it. */

export interface Failure {
  /** An API reason, a gRPC status in the same spelling, or "Denied". */
  reason: string;
  /** HTTP or gRPC status code; 0: none. */
  code: number;
  message: string;
  /** JSON text, or "". */
  details: string;
}

/** Thrown by capability calls, and by plugins to answer with a failure. */
export class PluginFailure extends Error implements Failure {
  readonly reason: string;
  readonly code: number;
  readonly details: string;
  constructor(reason: string, message: string, code = 0, details = "") {
    super(message);
    this.name = "PluginFailure";
    this.reason = reason;
    this.code = code;
    this.details = details;
  }
}

export const failure = (reason: string, message: string, code = 0, details = ""): PluginFailure =>
  new PluginFailure(reason, message, code, details);

/** Denies in an admission hook: the API answers 403 with `message` after `pods "web" is forbidden: `. */
export const deny = (message: string): PluginFailure => new PluginFailure("Forbidden", message, 403);

/** No warning can begin with it (HTTP has no control characters in Warning headers). */
export const AUDIT_MARK = "\u0001";

/** Answered among an admission hook's warnings: becomes an annotation of the request's audit event instead. */
export const auditAnnotation = (key: string, value: string): string => `${AUDIT_MARK}${key}=${value}`;

/** Like `deny`, with annotations for the request's audit event. */
export const denyAnnotated = (message: string, auditAnnotations: Readonly<Record<string, string>>): PluginFailure =>
  new PluginFailure("Forbidden", message, 403, JSON.stringify({ auditAnnotations }));

/** Anything thrown as a failure record: a PluginFailure as it is, another error as InternalError. */
export function failureOf(thrown: unknown): Failure {
  if (thrown instanceof PluginFailure) {
    return { reason: thrown.reason, code: thrown.code, message: thrown.message, details: thrown.details };
  }
  const message = thrown instanceof Error ? thrown.message : String(thrown);
  return { reason: "InternalError", code: 500, message, details: "" };
}

const isFailure = (value: unknown): value is Failure =>
  typeof value === "object" && value !== null && "reason" in value && "message" in value && "code" in value;

/** In a guest: runs an imported function and throws what it fails with as a PluginFailure. */
export function calling<T>(call: () => T): T {
  try {
    return call();
  } catch (thrown) {
    const payload = thrown instanceof Error && "payload" in thrown ? thrown.payload : thrown;
    if (isFailure(payload)) throw new PluginFailure(payload.reason, payload.message, payload.code, payload.details);
    throw thrown;
  }
}
