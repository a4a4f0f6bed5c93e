/** `capstan tenant create|list|delete [NAME]`: logical clusters, and a kubeconfig for the owner of a new one. */
import { messageOf } from "#platform/base/log.ts";
import type { Tenant } from "#sdk/api/generated/types.ts";
import { isReason, StatusError } from "#sdk/api/status.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import type { Client } from "#sdk/client/port.ts";
import type { Command } from "../command.ts";
import { paths, readConfig } from "../config.ts";
import { tenantKubeconfig } from "../pki.ts";
import { UserError } from "../steps.ts";

const TENANTS = { group: "capstan.dev", version: "v1", resource: "tenants" } as const;
const USAGE = "npx capstan tenant create NAME   # or: list, delete NAME";

export const tenant: Command = {
  usage: "tenant VERB [NAME]",
  help: "create NAME (prints its owner's kubeconfig), list, delete NAME",
  async run(options, [verb, name]) {
    if (verb === undefined || !["create", "list", "delete"].includes(verb) || (verb !== "list" && !name))
      throw new UserError("tenant needs a verb and a name", USAGE);
    const config = readConfig(options.dataDir);
    const client = createClient(loadKubeconfig(paths(options.dataDir).kubeconfig));
    try {
      if (verb === "list") await list(client);
      else if (verb === "delete") await client.delete(TENANTS, { name: name ?? "" });
      else {
        const { status } = await create(client, name ?? "");
        process.stdout.write(await tenantKubeconfig(config, status?.id ?? 0, name ?? ""));
      }
    } catch (error) {
      if (error instanceof UserError) throw error;
      if (error instanceof StatusError && error.reason !== "ServiceUnavailable")
        throw new UserError(error.message, USAGE);
      throw new UserError(`the API server does not answer: ${messageOf(error)}`, "npm run up");
    } finally {
      client.close();
    }
    return 0;
  },
};

async function create(client: Client, name: string): Promise<Tenant> {
  const wanted: Tenant = { apiVersion: "capstan.dev/v1", kind: "Tenant", metadata: { name } };
  try {
    return (await client.create(TENANTS, wanted)) as Tenant;
  } catch (error) {
    if (isReason(error, "AlreadyExists"))
      throw new UserError(`there is a tenant ${name} already`, "npx capstan tenant list");
    throw error;
  }
}

async function list(client: Client): Promise<void> {
  const { items } = await client.list<Tenant>(TENANTS);
  for (const { metadata, status } of items) process.stdout.write(`${metadata.name}\t${status?.id ?? ""}\n`);
}
