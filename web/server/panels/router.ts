import { z } from "zod";
import { statusErrorOf } from "#sdk/client/client.ts";
import type { Client } from "#sdk/client/port.ts";
import { asTRPCError, router, signedIn } from "../context.ts";
import { nameInput, namespaceInput, tenantInput } from "../target.ts";
import type { Page } from "./page.ts";

const TEXT_MAX = 10_000;
const where = z.object({
  tenant: tenantInput,
  plugin: nameInput,
  namespace: z.union([z.literal(""), namespaceInput]),
  path: z.string().max(1024),
});
const fieldValue = z.union([z.string().max(TEXT_MAX), z.number(), z.boolean()]);

async function ask<T>(client: Client, method: "GET" | "POST", input: z.infer<typeof where>, body?: object): Promise<T> {
  const query = new URLSearchParams({ namespace: input.namespace, path: input.path });
  const path = `/apis/capstan.dev/v1/plugins/${encodeURIComponent(input.plugin)}/panel?${query}`;
  const headers: Record<string, string> = body ? { "content-type": "application/json" } : {};
  try {
    const answer = await client.tenant(input.tenant).raw(method, path, body && JSON.stringify(body), headers);
    if (answer.code >= 400) throw statusErrorOf(answer.code, answer.body);
    return JSON.parse(answer.body) as T;
  } catch (error) {
    throw asTRPCError(error);
  }
}

export const panelsRouter = router({
  /** A plugin's page, as the API server has checked it. */
  page: signedIn.input(where).query(({ ctx, input }) => ask<Page>(ctx.connection.client, "GET", input)),

  /** Somebody pressed an action. Answers the text that is shown. */
  act: signedIn
    .input(where.extend({ action: z.string().min(1).max(200), fields: z.record(z.string().max(200), fieldValue) }))
    .mutation(({ ctx, input: { action, fields, ...input } }) =>
      ask<{ message: string }>(ctx.connection.client, "POST", input, { action, fields }),
    ),
});
