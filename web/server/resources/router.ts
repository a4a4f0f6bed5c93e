import { tracked } from "@trpc/server";
import { z } from "zod";
import type { DynamicObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { asTRPCError, router, signedIn } from "../context.ts";
import { nameInput, namespaceInput, resourceInput, selectorInput, tenantInput } from "../target.ts";
import { type LiveMessage, type LiveRequest, live, plainObject, rowOf } from "./live.ts";
import { type Row, viewOf } from "./views.ts";

const scopeInput = z.object({
  tenant: tenantInput,
  resource: resourceInput,
  namespace: namespaceInput.optional(),
  labelSelector: selectorInput.optional(),
  fieldSelector: selectorInput.optional(),
  /** Set by tRPC when a lost connection goes on. */
  lastEventId: z.string().max(64).optional(),
});
type Scope = z.infer<typeof scopeInput>;
interface Call {
  ctx: {
    session: { ended: AbortSignal; id: string };
    connection: { client: LiveRequest<unknown>["client"] };
    sessions: { end(id: string): void };
    drained?(): Promise<void>;
  };
  signal: AbortSignal | undefined;
}

async function* tell<Item>(
  { ctx, signal }: Call,
  input: Scope,
  what: Pick<LiveRequest<Item>, "columns" | "itemOf" | "fieldSelector">,
) {
  const signals = [ctx.session.ended, ...(signal ? [signal] : [])];
  const messages = live<Item>({
    client: ctx.connection.client.tenant(input.tenant),
    resource: input.resource,
    namespace: input.namespace,
    labelSelector: input.labelSelector,
    after: input.lastEventId,
    signal: AbortSignal.any(signals),
    drained: ctx.drained,
    ...what,
  });
  try {
    for await (const [id, message] of messages) yield tracked<LiveMessage<Item>>(id, message);
  } catch (error) {
    // The API server does not accept the credential any more: the session is of no use.
    if (isReason(error, "Unauthorized")) ctx.sessions.end(ctx.session.id);
    throw asTRPCError(error);
  }
}

export const resourcesRouter = router({
  /** Rows of any resource, live. */
  rows: signedIn.input(scopeInput).subscription(({ ctx, input, signal }) => {
    const view = viewOf(input.resource);
    return tell<Row>({ ctx, signal }, input, {
      columns: view.columns,
      fieldSelector: input.fieldSelector,
      itemOf: (object) => rowOf(view, object),
    });
  }),

  /** One object, whole, live. */
  object: signedIn.input(scopeInput.extend({ name: nameInput })).subscription(({ ctx, input, signal }) =>
    tell<DynamicObject>({ ctx, signal }, input, {
      columns: [],
      fieldSelector: `metadata.name=${input.name}`,
      itemOf: plainObject,
    }),
  ),
});
