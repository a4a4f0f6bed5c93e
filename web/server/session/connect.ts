/** Opens a connection to the API server with a user's credential, and asks the server who that is. */
import { StatusError, tooManyRequests, unauthorized } from "#sdk/api/status.ts";
import { createClient } from "#sdk/client/client.ts";
import { createTransport } from "#sdk/client/transport.ts";
import type { UserConnection } from "../port.ts";
import type { Credential } from "./credentials.ts";

export interface ApiAddress {
  /** "https://host:6443" */
  apiUrl: string;
  /** PEM of the cluster's authority. */
  ca: string;
}

export type Connect = (credential: Credential) => Promise<UserConnection>;

const USER_AGENT = "capstan-console";

interface SelfSubjectReview {
  status?: { userInfo?: { username?: string; groups?: string[] } };
}

/** Sign-ins under way at once; each costs the API server a handshake. */
export const SIGN_INS_MAX = 16;

/** The same, but refusing (429) when too many are under way. */
export function limited(connect: Connect): Connect {
  let underWay = 0;
  return async (credential) => {
    if (underWay >= SIGN_INS_MAX) throw tooManyRequests("Too many people are signing in at this moment. Try again.", 1);
    underWay++;
    try {
      return await connect(credential);
    } finally {
      underWay--;
    }
  };
}

/** Throws StatusError: 401 for a credential that the API server does not accept, 503 when it does not answer. */
export function connector(api: ApiAddress): Connect {
  return async (credential) => {
    const { token, cert, key } = credential;
    const origin = new URL(api.apiUrl).origin;
    const root = createClient({ server: api.apiUrl, ca: api.ca, token, cert, key, userAgent: USER_AGENT });
    const transport = createTransport({ origin, ca: api.ca, cert, key });
    const close = () => {
      root.close();
      transport.close();
    };
    try {
      const client = root.tenant(credential.tenant);
      const { username, groups } = await whoAmI(client);
      return {
        identity: {
          name: username ?? credential.name,
          groups: groups ?? [],
          tenant: credential.tenant,
          namespace: credential.namespace,
        },
        client: root,
        transport,
        headers: {
          ":authority": new URL(api.apiUrl).host,
          "user-agent": USER_AGENT,
          ...(token ? { authorization: `Bearer ${token}` } : {}),
        },
        close,
      };
    } catch (error) {
      close();
      throw error;
    }
  };
}

async function whoAmI(client: UserConnection["client"]) {
  const { code, body } = await client.raw(
    "POST",
    "/apis/authentication.k8s.io/v1/selfsubjectreviews",
    JSON.stringify({ apiVersion: "authentication.k8s.io/v1", kind: "SelfSubjectReview" }),
    { "content-type": "application/json" },
  );
  if (code === 401)
    throw unauthorized("The API server does not accept this credential. Is it of this cluster, and not expired?");
  if (code >= 500)
    throw new StatusError(code, "ServiceUnavailable", `The API server answers ${code}. Try again in a moment.`);
  // A user who may not ask who they are is signed in all the same: the credential was accepted.
  if (code >= 300) return {};
  const user = (JSON.parse(body) as SelfSubjectReview).status?.userInfo;
  if (user?.username === "system:anonymous") {
    throw unauthorized("The API server does not know this credential and takes you for anonymous.");
  }
  return { username: user?.username, groups: user?.groups };
}
