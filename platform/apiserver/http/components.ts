/**
 * ComponentStatuses (deprecated upstream since 1.19, asked for all the same): nothing is stored, each component is looked at when somebody
 * asks. Every tenant's are the platform's.
 */
import type { Store } from "#platform/store/port.ts";
import type { ComponentStatus, Lease } from "#sdk/api/generated/types.ts";
import { notFound, StatusError } from "#sdk/api/status.ts";
import { matcherOf } from "../registry/selectors.ts";
import type { ResourceEntry } from "../registry/strategy.ts";
import { answer, type Exchange } from "./exchange.ts";
import { negotiate } from "./negotiate.ts";
import { listParameters } from "./options.ts";
import { renderList, renderObject } from "./render.ts";

export interface Component {
  name: string;
  /** Throws with the reason when it is not healthy. */
  check(): Promise<void>;
}

async function statusOf({ name, check }: Component): Promise<ComponentStatus> {
  const healthy = { type: "Healthy", status: "True", message: "ok" };
  const conditions = await check().then(
    () => [healthy],
    // The reasons of these checks are worded for the API's users.
    (error: unknown) => {
      const why = error instanceof StatusError ? error.message : "reason withheld";
      return [{ type: "Healthy", status: "False", error: why }];
    },
  );
  return { kind: "ComponentStatus", apiVersion: "v1", metadata: { name }, conditions };
}

export async function serveComponents(
  exchange: Exchange,
  entry: ResourceEntry,
  components: readonly Component[],
): Promise<void> {
  const { info, query, request, context } = exchange;
  const accepted = negotiate(request.headers.accept, ["object", "table", "metadata"], true);
  const includeObject = query.get("includeObject") || "Metadata";
  const render = { entry, accepted, includeObject, now: context.now, tenantName: () => undefined };
  const named = info.name === "" ? components : components.filter(({ name }) => name === info.name);
  const shown = (await Promise.all(named.map(statusOf))).map((status) => ({
    labels: {},
    fields: { "metadata.name": status.metadata.name ?? "" },
    document: JSON.stringify(status),
    revision: 0,
  }));
  const [one] = shown;
  if (info.name === "") {
    const matches = matcherOf(listParameters(query, entry, false).selection) ?? (() => true);
    return await answer(exchange, 200, renderList(render, shown.filter(matches), {}), accepted);
  }
  if (!one) throw notFound({ group: "", resource: "componentstatus" }, info.name);
  await answer(exchange, 200, renderObject(render, one), accepted);
}

/** Whether whoever holds a lease has renewed it in time; `key` is the lease's. */
export function leaseCheck(store: Store, key: Parameters<Store["get"]>[0], now: () => number): () => Promise<void> {
  const away = (why: string) => new StatusError(503, "ServiceUnavailable", why);
  return async () => {
    const stored = await store.get(key, { type: "atLeast", revision: 0 });
    if (!stored) throw away("nobody has started");
    const { renewTime = "", leaseDurationSeconds = 0 } = (JSON.parse(stored.document) as Lease).spec ?? {};
    if (now() > Date.parse(renewTime) + leaseDurationSeconds * 1000) throw away(`not heard of since ${renewTime}`);
  };
}
