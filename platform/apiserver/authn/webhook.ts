/** Bearer tokens that a webhook knows (TokenReview, authentication.k8s.io/v1). What it said holds for a time. */
import { hash } from "node:crypto";
import { z } from "zod";
import { type Log, messageOf } from "#platform/base/log.ts";
import { ROOT_TENANT } from "#platform/store/port.ts";
import { unauthorized } from "#sdk/api/status.ts";
import type { UserInfo } from "../registry/admission.ts";
import { Answers } from "../webhook/answers.ts";
import { ask, type Remote } from "../webhook/remote.ts";
import type { Authenticator } from "./authenticator.ts";

const TIMEOUT_MS = 30_000;

const answer = z.object({
  status: z
    .object({
      authenticated: z.boolean().default(false),
      error: z.string().default(""),
      audiences: z.array(z.string()).nullish(),
      user: z
        .object({
          username: z.string().default(""),
          uid: z.string().default(""),
          groups: z.array(z.string()).nullish(),
          extra: z.record(z.string(), z.array(z.string())).nullish(),
        })
        .nullish(),
    })
    .default({ authenticated: false, error: "" }),
});

export interface WebhookOptions {
  remote: Remote;
  ttlMs: number;
  /** Of this server: what a token must be for. */
  audiences: readonly string[];
  log: Log;
}

/** Root's, as everything that its operator configures. */
export function webhookTokens({ remote, ttlMs, audiences, log }: WebhookOptions): Authenticator {
  const answers = new Answers<UserInfo | undefined>();
  async function review(token: string): Promise<UserInfo | undefined> {
    const body = {
      kind: "TokenReview",
      apiVersion: "authentication.k8s.io/v1",
      metadata: { creationTimestamp: null },
      spec: { token, audiences: [...audiences] },
    };
    const { status } = answer.parse(await ask(remote, { method: "POST", body, timeoutMs: TIMEOUT_MS }));
    if (!status.authenticated || !status.user) return undefined;
    // A webhook that knows audiences says which; one that does not vouches for all.
    if (status.audiences?.length && !status.audiences.some((one) => audiences.includes(one))) return undefined;
    const { username, uid, groups, extra } = status.user;
    return {
      tenant: ROOT_TENANT,
      name: username,
      ...(uid ? { uid } : {}),
      groups: groups ?? [],
      ...(extra && Object.keys(extra).length > 0 ? { extra } : {}),
    };
  }
  return {
    async authenticate({ bearer }, now) {
      if (!bearer) return undefined;
      try {
        // By digest: the table holds no token.
        return await answers.get(
          hash("sha256", bearer),
          now,
          () => review(bearer),
          () => ttlMs,
        );
      } catch (error) {
        log.error("the webhook that knows tokens fails", { error: messageOf(error) });
        throw unauthorized();
      }
    },
  };
}
