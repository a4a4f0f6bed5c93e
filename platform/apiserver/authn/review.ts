/** TokenReview over all that knows tokens: service-account tokens carry their audiences, the others are for this server. */
import { StatusError } from "#sdk/api/status.ts";
import type { Authenticator } from "./authenticator.ts";
import type { TokenReviewer } from "./serviceAccounts.ts";

export function tokenReviewer(
  own: TokenReviewer,
  others: Authenticator,
  audiencesOfServer: readonly string[],
): TokenReviewer {
  return {
    async review(token, audiences, now, tenantName) {
      const reviewed = await own.review(token, audiences, now);
      if (reviewed) return reviewed;
      const shared =
        audiences.length > 0 ? audiencesOfServer.filter((a) => audiences.includes(a)) : [...audiencesOfServer];
      if (shared.length === 0) return undefined;
      try {
        const user = await others.authenticate({ bearer: token, ...(tenantName ? { tenantName } : {}) }, now);
        return user && { user, audiences: shared };
      } catch (error) {
        if (error instanceof StatusError && error.code === 401) return undefined;
        throw error;
      }
    },
  };
}
