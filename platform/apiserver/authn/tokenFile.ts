/** Tokens of a file, for bootstrap: lines of `token,user,uid[,"group1,group2"]`, as upstream's --token-auth-file. They belong to root. */
import { createHash } from "node:crypto";
import { ROOT_TENANT } from "#platform/store/port.ts";
import type { UserInfo } from "../registry/admission.ts";
import type { Authenticator } from "./authenticator.ts";

const digest = (token: string) => createHash("sha256").update(token).digest("hex");

export function tokenFile(text: string): Authenticator {
  const users = new Map<string, UserInfo>();
  for (const line of text.split("\n")) {
    const match = /^([^,#]+),([^,]+),([^,]*)(?:,"?([^"]*)"?)?$/.exec(line.trim());
    if (!match) continue;
    const [, token = "", name = "", uid = "", groups = ""] = match;
    users.set(digest(token), { tenant: ROOT_TENANT, name, uid, groups: groups.split(",").filter((g) => g !== "") });
  }
  return {
    // Looked up by digest, so that the time a look-up takes tells nothing of a token.
    authenticate: async ({ bearer }) => (bearer === undefined ? undefined : users.get(digest(bearer))),
  };
}
