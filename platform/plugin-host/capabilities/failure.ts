import { HostFailure } from "#sdk/engine/port.ts";

/** An error value of the contract (types.failure), thrown to the guest. */
export const hostFailure = (reason: string, code: number, message: string, details = ""): HostFailure =>
  new HostFailure({ reason, code, message, details }, message);

/** A capability, or a name in it, that the plugin was not granted. */
export const denied = (what: string): HostFailure =>
  hostFailure("Denied", 403, `denied: ${what} is not granted to this plugin (spec.capabilities)`);
