/** World panel: a plugin's pages of the console, asked for through the API by who looks, and with that person's rights. */
import { z } from "zod";
import { notFound, StatusError } from "#sdk/api/status.ts";
import { PLUGINS } from "#sdk/plugin/manifest.ts";
import { PluginCallError } from "../../errors.ts";
import type { LoadedPlugin, PluginHost } from "../../host.ts";
import { pageSchema } from "./panel-page.ts";

export interface PanelQuery {
  tenant: string;
  plugin: string;
  namespace: string;
  path: string;
  parameters: [name: string, value: string][];
  user: { name: string; groups: readonly string[] };
}

const PAGE_CHARACTERS_MAX = 2 * 1024 * 1024;
const MESSAGE_CHARACTERS_MAX = 2_000;

/** A plugin's own failure keeps its code; what is the plugin's fault is a 502. */
function statusOf(error: unknown): unknown {
  if (!(error instanceof PluginCallError)) return error;
  if (error.kind === "failure" && error.code >= 400 && error.code < 600)
    return new StatusError(error.code, error.reason, error.message);
  if (error.kind === "unavailable") return new StatusError(503, "ServiceUnavailable", error.message);
  return new StatusError(502, "BadGateway", error.message);
}

export function createPanels(host: PluginHost): {
  render(query: PanelQuery): Promise<string>;
  act(query: PanelQuery, action: string, fields: string): Promise<string>;
} {
  const find = ({ tenant, plugin }: PanelQuery): LoadedPlugin => {
    const key = tenant === "root" ? plugin : `${tenant}/${plugin}`;
    const found = host.loaded("panel", tenant).find(({ name }) => name === key);
    if (!found) throw notFound({ ...PLUGINS, resource: `${PLUGINS.resource}/panel` }, plugin);
    return found;
  };
  const call = async (query: PanelQuery, hook: string, ...more: string[]): Promise<string> => {
    const { tenant, namespace, path, parameters, user } = query;
    const shown = { tenant, namespace, path, parameters, user: JSON.stringify(user) };
    try {
      return String(await find(query).call("panel-hooks", hook, [shown, ...more], { tenant, user }));
    } catch (error) {
      throw statusOf(error);
    }
  };
  return {
    async render(query) {
      const page = await call(query, "render");
      const parsed = pageSchema.safeParse(page.length > PAGE_CHARACTERS_MAX ? undefined : jsonOf(page));
      if (parsed.success) return JSON.stringify(parsed.data);
      const why = `its page is not what a page may be: ${z.prettifyError(parsed.error)}`;
      find(query).refused("render", why);
      throw new StatusError(502, "BadGateway", `plugin ${query.plugin}: ${why.slice(0, MESSAGE_CHARACTERS_MAX)}`);
    },
    act: async (query, action, fields) => (await call(query, "act", action, fields)).slice(0, MESSAGE_CHARACTERS_MAX),
  };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
