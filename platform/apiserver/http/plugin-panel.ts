/**
 * plugins/NAME/panel: a plugin's page of the console. GET renders it (path, namespace and any other parameter are the plugin's query); POST
 * {"action", "fields"?} is somebody who pressed something. The plugin acts with the rights of who asks.
 */
import { z } from "zod";
import { badRequest, StatusError } from "#sdk/api/status.ts";
import { readText } from "./body.ts";
import { answer, type Exchange } from "./exchange.ts";

export interface PanelQuery {
  tenant: string;
  plugin: string;
  /** "": all that the person may see. */
  namespace: string;
  path: string;
  parameters: [name: string, value: string][];
  user: { name: string; groups: readonly string[] };
}

/** What the plugins of this server answer; rejects with StatusError. */
export interface PluginPanels {
  /** JSON text of the page (sdk/wit/v1/panel.wit), checked. */
  render(query: PanelQuery): Promise<string>;
  /** The text that is shown. */
  act(query: PanelQuery, action: string, fields: string): Promise<string>;
}

const ACTION_MAX = 200;
const actSchema = z.strictObject({
  action: z.string().min(1).max(ACTION_MAX),
  fields: z.record(z.string().max(ACTION_MAX), z.union([z.string(), z.number(), z.boolean()])).default({}),
});

function queryOf({ context, info, query, user }: Exchange): PanelQuery {
  const own = new Set(["namespace", "path"]);
  return {
    tenant: context.tenantName,
    plugin: info.name,
    namespace: query.get("namespace") ?? "",
    path: query.get("path") ?? "",
    parameters: [...query].filter(([name]) => !own.has(name)),
    user: { name: user.name, groups: user.groups },
  };
}

export async function servePanel(exchange: Exchange, panels: PluginPanels | undefined): Promise<void> {
  if (!panels) throw new StatusError(503, "ServiceUnavailable", "this server runs no panels");
  const query = queryOf(exchange);
  const json = { encoding: "json" as const };
  if (exchange.method !== "POST") return await answer(exchange, 200, await panels.render(query), json);
  let body: unknown;
  try {
    body = JSON.parse(await readText(exchange.request));
  } catch (error) {
    if (error instanceof StatusError) throw error;
    throw badRequest("the body is no JSON");
  }
  const parsed = actSchema.safeParse(body);
  if (!parsed.success) throw badRequest(z.prettifyError(parsed.error));
  const message = await panels.act(query, parsed.data.action, JSON.stringify(parsed.data.fields));
  await answer(exchange, 200, JSON.stringify({ message }), json);
}
