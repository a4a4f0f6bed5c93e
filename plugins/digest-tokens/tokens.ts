/** Whose token it is, by its digest; pure. */
import { sha256 } from "./sha256.ts";

export interface TokensConfig {
  tokens?: {
    /** Of the token's text, hexadecimal. */
    sha256: string;
    user: string;
    groups?: string[];
    /** RFC 3339. */
    expires?: string;
  }[];
}

/** Undefined: nobody's. `now` in milliseconds since the epoch. */
export function userOf(config: TokensConfig, token: Uint8Array, now: number) {
  const digest = sha256(token);
  const found = config.tokens?.find((one) => one.sha256.toLowerCase() === digest);
  if (!found || (found.expires !== undefined && !(Date.parse(found.expires) > now))) return undefined;
  return { name: found.user, groups: found.groups ?? [] };
}
