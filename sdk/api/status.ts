/**
 * The one catalogue of API errors: `metav1.Status` (API conventions, "Response Status Kind").
 * The server throws StatusError and the http layer writes it; the client reads a Status and throws StatusError again.
 * Reasons, codes and message wordings are those of apimachinery's api/errors.
 */
export interface StatusCause {
  reason?: string;
  message?: string;
  field?: string;
}

export interface StatusDetails {
  name?: string;
  group?: string;
  kind?: string;
  uid?: string;
  causes?: StatusCause[];
  retryAfterSeconds?: number;
}

export interface Status {
  kind: "Status";
  apiVersion: "v1";
  metadata: { resourceVersion?: string; continue?: string; remainingItemCount?: number };
  status: "Success" | "Failure";
  message?: string;
  reason?: string;
  details?: StatusDetails;
  code?: number;
}

export class StatusError extends Error {
  readonly status: Status;
  constructor(code: number, reason: string, message: string, details?: StatusDetails) {
    super(message);
    this.name = "StatusError";
    this.status = {
      kind: "Status",
      apiVersion: "v1",
      metadata: {},
      status: "Failure",
      message,
      ...(reason ? { reason } : {}),
      ...(details ? { details } : {}),
      code,
    };
  }
  get code(): number {
    return this.status.code ?? 500;
  }
  get reason(): string {
    return this.status.reason ?? "";
  }
  static from(status: Status): StatusError {
    const error = new StatusError(status.code ?? 500, status.reason ?? "", status.message ?? "", status.details);
    Object.assign(error.status, status);
    return error;
  }
}

export interface ResourceName {
  group: string;
  resource: string;
}

const qualified = (r: ResourceName) => (r.group === "" ? r.resource : `${r.resource}.${r.group}`);
const detailsOf = (r: ResourceName, name: string): StatusDetails => ({
  ...(name ? { name } : {}),
  ...(r.group ? { group: r.group } : {}),
  ...(r.resource ? { kind: r.resource } : {}),
});

export const notFound = (r: ResourceName, name: string): StatusError =>
  new StatusError(404, "NotFound", `${qualified(r)} "${name}" not found`, detailsOf(r, name));

export const alreadyExists = (r: ResourceName, name: string): StatusError =>
  new StatusError(409, "AlreadyExists", `${qualified(r)} "${name}" already exists`, detailsOf(r, name));

export const conflict = (r: ResourceName, name: string, why: string): StatusError =>
  new StatusError(
    409,
    "Conflict",
    `Operation cannot be fulfilled on ${qualified(r)} "${name}": ${why}`,
    detailsOf(r, name),
  );

/** The message upstream gives when a compare-and-swap on resourceVersion is lost. */
export const OPTIMISTIC_LOCK =
  "the object has been modified; please apply your changes to the latest version and try again";

export const badRequest = (message: string): StatusError => new StatusError(400, "BadRequest", message);

export const unauthorized = (message = "Unauthorized"): StatusError => new StatusError(401, "Unauthorized", message);

export const forbidden = (r: ResourceName, name: string, why: string): StatusError => {
  const subject = name === "" ? qualified(r) : `${qualified(r)} "${name}"`;
  return new StatusError(
    403,
    "Forbidden",
    r.resource === "" ? `forbidden: ${why}` : `${subject} is forbidden: ${why}`,
    detailsOf(r, name),
  );
};

/** `kind` is the Kind ("Pod"), as upstream's NewInvalid takes it; each cause's message already carries its own value. */
export const invalid = (kind: { group: string; kind: string }, name: string, causes: StatusCause[]): StatusError => {
  const texts = causes.map((c) => `${c.field}: ${c.message}`);
  const all = texts.length === 1 ? texts[0] : `[${texts.join(", ")}]`;
  const subject = kind.group === "" ? kind.kind : `${kind.kind}.${kind.group}`;
  return new StatusError(422, "Invalid", `${subject} "${name}" is invalid${all ? `: ${all}` : ""}`, {
    ...(name ? { name } : {}),
    ...(kind.group ? { group: kind.group } : {}),
    ...(kind.kind ? { kind: kind.kind } : {}),
    causes,
  });
};

export const methodNotSupported = (r: ResourceName, verb: string): StatusError =>
  new StatusError(
    405,
    "MethodNotAllowed",
    `${verb} is not supported on resources of kind "${qualified(r)}"`,
    detailsOf(r, ""),
  );

export const gone = (message: string): StatusError => new StatusError(410, "Gone", message);
export const expired = (message: string): StatusError => new StatusError(410, "Expired", message);
export const tooLarge = (message: string): StatusError => new StatusError(413, "RequestEntityTooLarge", message);
export const unsupportedMediaType = (message: string): StatusError =>
  new StatusError(415, "UnsupportedMediaType", message);
export const notAcceptable = (message: string): StatusError => new StatusError(406, "NotAcceptable", message);
export const tooManyRequests = (message: string, retryAfterSeconds: number): StatusError =>
  new StatusError(429, "TooManyRequests", message, { retryAfterSeconds });
export const internal = (message: string): StatusError =>
  new StatusError(500, "InternalError", `Internal error occurred: ${message}`, { causes: [{ message }] });
export const unavailable = (message: string): StatusError => new StatusError(503, "ServiceUnavailable", message);
export const timeout = (message: string, retryAfterSeconds = 0): StatusError =>
  new StatusError(504, "Timeout", `Timeout: ${message}`, retryAfterSeconds ? { retryAfterSeconds } : undefined);

export const isReason = (error: unknown, reason: string): boolean =>
  error instanceof StatusError && error.status.reason === reason;
