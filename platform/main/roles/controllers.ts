/** The role "controllers": the built-in loops and controller plugins, while this process holds the Lease. */
import { randomUUID } from "node:crypto";
import { readFileSync } from "node:fs";
import { hostname } from "node:os";
import { join } from "node:path";
import { issueLegacyToken } from "#platform/apiserver/authn/legacyTokens.ts";
import { controllers } from "#platform/controllers/index.ts";
import { type RunInput, runControllers } from "#platform/controllers/run.ts";
import { balancerFacts } from "#platform/network/facts.ts";
import { runControllerPlugins } from "#platform/plugin-host/worlds/v1/controller.ts";
import { ROOT_TENANT } from "#platform/store/port.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { leaderElect } from "#sdk/client/leader.ts";
import type { Client } from "#sdk/client/port.ts";
import { type Config, paths, podCIDRsOf, serviceCIDRsOf } from "../config.ts";
import { authorityOfTenant, tokenKeyOf } from "../pki.ts";
import { pluginClients } from "../plugin-users.ts";
import { rolePlugins } from "../plugins.ts";
import type { RoleContext, StartRole } from "../role.ts";
import { whenServed } from "../served.ts";

export const start: StartRole = async (context) => {
  const { config, log } = context;
  const { roleKubeconfig, pki } = paths(config.dataDir);
  const client = createClient({ ...loadKubeconfig(roleKubeconfig("controllers")), userAgent: "capstan-controllers" });
  const rootCA = readFileSync(join(pki, "ca.crt"), "utf8");
  const stopping = new AbortController();
  const running = leaderElect({
    client,
    name: "capstan-controllers",
    identity: `${hostname()}_${randomUUID()}`,
    async lead(signal) {
      const signing = signingFor(context, client);
      const builtIn = runControllers(controllers, {
        client,
        log,
        signal,
        rootCA,
        serviceCIDRs: serviceCIDRsOf(config),
        podCIDRs: podCIDRsOf(config),
        ...signing,
      });
      await Promise.all([builtIn, runPlugins(context, client, signal)]);
    },
    onStandBy: (leader) => log.info("standing by", { leader }),
    log,
    signal: stopping.signal,
  });
  return {
    ready: whenServed(client, stopping.signal),
    async stop() {
      stopping.abort();
      await running;
      client.close();
    },
  };
};

const TENANTS = { group: "capstan.dev", version: "v1", resource: "tenants" };
interface TenantObject extends KubeObject {
  status?: { id?: number };
}

/** Tenants' certificates and tokens are signed by their own keys, which root's make. */
function signingFor({ config }: RoleContext, client: Client): Pick<RunInput, "authorityOf" | "accountToken"> {
  const idOf = async (tenant: string) =>
    tenant === "root" ? ROOT_TENANT : (await tenantNamed(client, tenant))?.status?.id;
  return {
    async authorityOf(tenant) {
      const id = await idOf(tenant);
      if (id === undefined) return undefined;
      const { cert, key } = await authorityOfTenant(config, id);
      return { certificate: cert, key };
    },
    async accountToken(tenant, subject) {
      const id = await idOf(tenant);
      return id === undefined ? undefined : issueLegacyToken(tokenKeyOf(config, id), { tenant: id, ...subject });
    },
  };
}

async function tenantNamed(client: Client, name: string): Promise<TenantObject | undefined> {
  try {
    return await client.get<TenantObject>(TENANTS, { name });
  } catch (error) {
    if (isReason(error, "NotFound")) return undefined;
    throw error;
  }
}

/** What the load balancer's and the log collector's components are told, and the paths in their grants. */
function pluginPaths(config: Config) {
  const { facts, variables } = balancerFacts(config);
  const collectorDir = join(config.dataDir, "log-collector");
  const podLogs = join(paths(config.dataDir).node("*"), "pods-logs");
  return { facts: { ...facts, collectorDir, podLogs }, variables: { ...variables, collectorDir } };
}

/** Each plugin writes as its own user; this role's credential only opens the connections, and reads what they watch. */
async function runPlugins({ config, log }: RoleContext, client: Client, signal: AbortSignal): Promise<void> {
  const users = pluginClients(loadKubeconfig(paths(config.dataDir).roleKubeconfig("controllers")));
  const { host, load } = rolePlugins({
    role: "controllers",
    instance: `controllers-${hostname()}`,
    worlds: ["controller"],
    ...pluginPaths(config),
    clientFor: users.clientFor,
    config,
    client,
    log,
    signal,
  });
  await load();
  await runControllerPlugins({ host, client, clientFor: users.clientFor, log, signal });
  await host.close();
  users.close();
}
