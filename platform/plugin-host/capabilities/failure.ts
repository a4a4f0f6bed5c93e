import { type ServiceError, status } from "@grpc/grpc-js";
import { HostFailure } from "#sdk/engine/port.ts";

/** An error value of the contract (types.failure), thrown to the guest. */
export const hostFailure = (reason: string, code: number, message: string, details = ""): HostFailure =>
  new HostFailure({ reason, code, message, details }, message);

/** A capability, or a name in it, that the plugin was not granted. */
export const denied = (what: string): HostFailure =>
  hostFailure("Denied", 403, `denied: ${what} is not granted to this plugin (spec.capabilities)`);

/** NOT_FOUND → NotFound. */
const reasonOf = (code: number): string =>
  (status[code] ?? "UNKNOWN")
    .toLowerCase()
    .replace(/(^|_)(.)/g, (_, _under: string, letter: string) => letter.toUpperCase());

/** What the server of a gRPC call said, or that it could not be reached. */
export const grpcFailure = (error: ServiceError): HostFailure =>
  hostFailure(reasonOf(error.code), error.code, error.details || error.message);
