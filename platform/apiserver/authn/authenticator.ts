/** Who is asking. Declares its port: everything that knows credentials implements `Authenticator`. */
import type { IncomingHttpHeaders } from "node:http";
import { StatusError } from "#sdk/api/status.ts";
import type { UserInfo } from "../registry/admission.ts";

export interface Credentials {
  /** DER of the client's certificate, when one was sent. */
  certificate?: Buffer;
  bearer?: string;
  /** Of the request, when they name a user (X-Remote-User). */
  headers?: IncomingHttpHeaders;
  /** Name of the tenant in the request's path: where credentials that name no tenant are looked for. Absent: root. */
  tenantName?: string;
}

export interface Authenticator {
  /** Undefined: these credentials are none of mine. Throws StatusError 401 when they are mine and bad. */
  authenticate(credentials: Credentials, now: number): Promise<UserInfo | undefined>;
}

export const AUTHENTICATED = "system:authenticated";
export const UNAUTHENTICATED = "system:unauthenticated";

/** The first authenticator that knows the credentials decides; credentials that one refuses may be good for another. */
export function firstOf(authenticators: readonly Authenticator[]): Authenticator {
  return {
    async authenticate(credentials, now) {
      let refused: StatusError | undefined;
      for (const authenticator of authenticators) {
        try {
          const user = await authenticator.authenticate(credentials, now);
          if (user) return { ...user, groups: [...new Set([...user.groups, AUTHENTICATED])] };
        } catch (error) {
          if (!(error instanceof StatusError) || error.code !== 401) throw error;
          refused = error;
        }
      }
      if (refused) throw refused;
      return undefined;
    },
  };
}

/** An authenticator that is replaced while requests come: after a configuration was read anew. */
export class Replaceable implements Authenticator {
  #current: Authenticator;

  constructor(first: Authenticator) {
    this.#current = first;
  }

  replace(next: Authenticator): void {
    this.#current = next;
  }

  authenticate(credentials: Credentials, now: number): Promise<UserInfo | undefined> {
    return this.#current.authenticate(credentials, now);
  }
}

/** Who has no credentials. */
export const ANONYMOUS = { name: "system:anonymous", groups: [UNAUTHENTICATED] } as const;

/** Whether a request without credentials is anonymous; otherwise it is refused. By the path after the tenant's prefix. */
export type AnonymousRule = (path: string) => boolean;
