/** Refusals of paths and methods, before anybody knows of which kind they are. */
import { methodNotSupported, StatusError } from "#sdk/api/status.ts";

/** No API is at the path: told as plain text, as Go's server does, and as a Status to those who ask in code. */
export class PageNotFound extends StatusError {
  static readonly text = "404 page not found\n";

  constructor() {
    super(404, "NotFound", "the server could not find the requested resource", {});
  }
}

export function methodNotAllowed(): StatusError {
  const error = methodNotSupported({ group: "", resource: "" }, "");
  error.status.message = "the server does not allow this method on the requested resource";
  error.status.details = {};
  return error;
}
