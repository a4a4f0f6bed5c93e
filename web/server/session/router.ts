/** Signing in and out. The answers say who the user is, never what they signed in with. */
import { z } from "zod";
import { publicProcedure, router } from "../context.ts";
import type { Identity } from "../port.ts";
import { credentialOfKubeconfig, credentialOfToken, KUBECONFIG_CHARS_MAX } from "./credentials.ts";

const signInInput = z.union([
  z.object({ token: z.string().max(KUBECONFIG_CHARS_MAX) }),
  z.object({ kubeconfig: z.string().max(KUBECONFIG_CHARS_MAX) }),
]);

export const sessionRouter = router({
  /** Who is signed in; null when nobody is. */
  current: publicProcedure.query(({ ctx }): Identity | null => ctx.session?.connection.identity ?? null),

  signIn: publicProcedure.input(signInInput).mutation(async ({ ctx, input }): Promise<Identity> => {
    const credential = "token" in input ? credentialOfToken(input.token) : credentialOfKubeconfig(input.kubeconfig);
    const connection = await ctx.connect(credential);
    if (ctx.session) ctx.sessions.end(ctx.session.id);
    const session = ctx.sessions.start(connection);
    ctx.setSession?.(session.id);
    ctx.log.info("signed in", { user: connection.identity.name, tenant: connection.identity.tenant });
    return connection.identity;
  }),

  signOut: publicProcedure.mutation(({ ctx }) => {
    if (ctx.session) {
      ctx.log.info("signed out", { user: ctx.session.connection.identity.name });
      ctx.sessions.end(ctx.session.id);
    }
    ctx.setSession?.(undefined);
  }),
});
