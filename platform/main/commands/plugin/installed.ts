/** `capstan plugin approve|rollback|pause|resume|logs|trust`: what an owner does with installed plugins. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { delay } from "#platform/base/clock.ts";
import { grantAccess } from "#plugins/access.ts";
import { StatusError } from "#sdk/api/status.ts";
import { mapStack } from "#sdk/cli/stack.ts";
import type { Client } from "#sdk/client/port.ts";
import { fingerprint, publicKeyOf } from "#sdk/distribution/signature.ts";
import { trustKey } from "#sdk/distribution/trust.ts";
import { capabilitiesDigest, capabilitiesText, revisionSpec } from "#sdk/plugin/approval.ts";
import { componentPath } from "#sdk/plugin/build.ts";
import { PLUGINS, type Plugin, pluginSpecSchema } from "#sdk/plugin/manifest.ts";
import { paths } from "../../config.ts";
import { UserError } from "../../steps.ts";
import { agreed, serving, writePlugin } from "./install.ts";
import { only, type PluginOptions, say, withClient } from "./options.ts";

const FOLLOW_MS = 500;

/** Changes an installed plugin; throws where there is none. */
const change = (client: Client, name: string, next: (present: Plugin) => Plugin): Promise<Plugin> =>
  writePlugin(client, name, (present) => {
    if (!present) throw new UserError(`there is no plugin ${name}`, "kubectl get plugins");
    return next(present);
  });

const withSpec = (plugin: Plugin, spec: Partial<Plugin["spec"]>): Plugin => ({
  ...plugin,
  spec: { ...plugin.spec, ...spec },
});

export const approve = {
  usage: "approve NAME",
  help: "what the installed version asks for",
  run: (options: PluginOptions, positionals: string[]): Promise<number> =>
    withClient(options, async (client) => {
      const name = only(positionals, "a plugin's name", approve.usage);
      const present = await client.get<Plugin>(PLUGINS, { name });
      const { enabled: _, digest: __, ...spec } = pluginSpecSchema.parse(present.spec);
      if (!(await agreed({ ...spec, name }, options))) return 1;
      await grantAccess(client, present, options.tenant);
      const asked = capabilitiesDigest(spec.capabilities);
      await change(client, name, (plugin) =>
        withSpec(plugin, { approved: [...new Set([...(plugin.spec.approved ?? []), asked])] }),
      );
      say(`approved: ${capabilitiesText(spec.capabilities)}`);
      return 0;
    }),
};

export const rollback = {
  usage: "rollback NAME [--revision N]",
  help: "to an earlier version that was approved",
  run: (options: PluginOptions, positionals: string[]): Promise<number> =>
    withClient(options, async (client) => {
      const name = only(positionals, "a plugin's name", rollback.usage);
      const written = await change(client, name, (plugin) => {
        const before = plugin.status?.revisions?.find(
          ({ spec }) => spec.digest !== plugin.spec.digest || spec.version !== plugin.spec.version,
        );
        const revision = options.revision ?? before?.revision;
        if (revision === undefined)
          throw new UserError(`no earlier version of ${name} is kept`, "kubectl get plugin -o yaml");
        return { ...plugin, spec: revisionSpec(plugin, revision) };
      });
      await grantAccess(client, written, options.tenant);
      say(`${name} is ${written.spec.version} again`);
      say(await serving(client, name, written.spec.digest));
      return 0;
    }),
};

const enabling = (usage: string, help: string, enabled: boolean) => ({
  usage,
  help,
  run: (options: PluginOptions, positionals: string[]): Promise<number> =>
    withClient(options, async (client) => {
      const name = only(positionals, "a plugin's name", usage);
      await change(client, name, (plugin) => withSpec(plugin, { enabled }));
      say(`${name} is ${enabled ? "called again" : "not called any more"}`);
      return 0;
    }),
});
export const pause = enabling("pause NAME", "it is not called until it is resumed", false);
export const resume = enabling("resume NAME", "it is called again", true);

export const logs = {
  usage: "logs NAME [--follow]",
  help: "what it said",
  run: (options: PluginOptions, positionals: string[]): Promise<number> =>
    withClient(options, async (client) => {
      const name = only(positionals, "a plugin's name", logs.usage);
      const { spec } = await client.get<Plugin>(PLUGINS, { name });
      const map = `${componentPath(paths(options.dataDir).components, spec.digest)}.map`;
      let last = "";
      do {
        const lines = await logLines(client, name);
        for (const line of lines.slice(lines.lastIndexOf(last) + 1)) say(mapStack(line, map));
        last = lines.at(-1) ?? last;
        if (options.follow) await delay(FOLLOW_MS);
      } while (options.follow);
      return 0;
    }),
};

async function logLines(client: Client, name: string): Promise<string[]> {
  const path = `/apis/capstan.dev/v1/plugins/${encodeURIComponent(name)}/log?timestamps=true`;
  const { code, body } = await client.raw("GET", path);
  if (code >= 300) throw StatusError.from(JSON.parse(body) as never);
  return body.split("\n").filter(Boolean);
}

export const trust = {
  usage: "trust FILE.pub [--tenant T]",
  help: "plugins that this key has signed may be installed",
  run: (options: PluginOptions, positionals: string[]): Promise<number> =>
    withClient(options, async (client) => {
      const path = only(positionals, "a public key", trust.usage);
      const pem = readFileSync(path, "utf8");
      const name = basename(path).replace(/\.pub$/, "");
      await trustKey(client, name, pem);
      say(`tenant ${options.tenant} trusts ${name}  ${fingerprint(publicKeyOf(pem))}`);
      return 0;
    }),
};
