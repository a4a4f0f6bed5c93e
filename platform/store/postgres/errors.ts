/** What the database's error codes mean for a batch and for its writers (exact codes; PostgreSQL manual, appendix A). */
import { messageOf } from "#platform/base/log.ts";
import { internal, StatusError, unavailable } from "#sdk/api/status.ts";
import { sqlStateOf } from "./session.ts";

/** Serialization, deadlock, lock and statement timeouts, expect_rows: the same batch may succeed the next time. */
export const MAY_PASS = new Set(["40001", "40P01", "55P03", "57014", "CA001"]);
export const NO_PARTITION = "23514";

/** Errors that one write of a batch can be to blame for; of the others (no disk, no memory, read-only) all writes are victims. */
export const isCulprit = (state: string): boolean => ["22", "23", "42", "54", "CA", "P0"].includes(state.slice(0, 2));

/** The one place where the database's codes become API errors. */
export function translate(error: unknown): StatusError {
  if (error instanceof StatusError) return error;
  switch (sqlStateOf(error)) {
    case "22021": // character_not_in_repertoire
    case "22P05": // untranslatable_character
      return new StatusError(400, "BadRequest", "the object holds a character that cannot be stored (such as NUL)");
    case "54000": // program_limit_exceeded: a key too long for its index
      return new StatusError(400, "BadRequest", "the object's key is too long");
    case "53100": // disk_full
      return unavailable("the database's disk is full; nothing was written");
    case "53200": // out_of_memory
    case "53300": // too_many_connections
    case "25006": // read_only_sql_transaction: not the primary
    case "40001":
    case "40P01":
    case "55P03":
    case "57014":
      return unavailable("the database cannot take the write now; nothing was written");
    default:
      return internal(messageOf(error));
  }
}
