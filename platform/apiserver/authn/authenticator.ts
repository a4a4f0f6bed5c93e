/** Who is asking. Declares its port: everything that knows credentials implements `Authenticator`. */
import type { UserInfo } from "../registry/admission.ts";

export interface Credentials {
  /** DER of the client's certificate, when one was sent. */
  certificate?: Buffer;
  bearer?: string;
}

export interface Authenticator {
  /** Undefined: these credentials are none of mine. Throws StatusError 401 when they are mine and bad. */
  authenticate(credentials: Credentials, now: number): Promise<UserInfo | undefined>;
}

export const AUTHENTICATED = "system:authenticated";
export const UNAUTHENTICATED = "system:unauthenticated";

/** The first authenticator that knows the credentials decides. */
export function firstOf(authenticators: readonly Authenticator[]): Authenticator {
  return {
    async authenticate(credentials, now) {
      for (const authenticator of authenticators) {
        const user = await authenticator.authenticate(credentials, now);
        if (!user) continue;
        return { ...user, groups: [...new Set([...user.groups, AUTHENTICATED])] };
      }
      return undefined;
    },
  };
}

/** Paths that somebody without credentials may ask for. */
export const ANONYMOUS = { name: "system:anonymous", groups: [UNAUTHENTICATED] } as const;
