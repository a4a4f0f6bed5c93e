/** Composition root of the API server. */
import { readFileSync } from "node:fs";
import { hostname, networkInterfaces } from "node:os";
import { join } from "node:path";
import { quotaAccounting } from "#platform/apiserver/admission/quota.ts";
import { catalogParamKinds } from "#platform/apiserver/admission/versions.ts";
import { Aggregation } from "#platform/apiserver/aggregation/aggregation.ts";
import { ensureAuthenticationConfig, FRONT_PROXY_NAME } from "#platform/apiserver/aggregation/authentication-config.ts";
import { frontProxy } from "#platform/apiserver/authn/front-proxy.ts";
import { keySet, signingKey } from "#platform/apiserver/authn/jwt.ts";
import { ISSUER, serviceAccountTokens } from "#platform/apiserver/authn/serviceAccounts.ts";
import { TenantKeys } from "#platform/apiserver/authn/tenantKeys.ts";
import { certificates, type TenantAuthorities } from "#platform/apiserver/authn/x509.ts";
import { nodeAuthorizer } from "#platform/apiserver/authz/nodes.ts";
import { Rbac } from "#platform/apiserver/authz/rbac.ts";
import { ensureTenant, reconcileTenant } from "#platform/apiserver/bootstrap.ts";
import { CustomResources } from "#platform/apiserver/customresources/manager.ts";
import { discoveryResponse, versionInfo } from "#platform/apiserver/discovery/discovery.ts";
import { FlowConditions } from "#platform/apiserver/fairness/conditions.ts";
import { keepFlowDefaults } from "#platform/apiserver/fairness/defaults.ts";
import { Fairness } from "#platform/apiserver/fairness/fairness.ts";
import { FeatureGates } from "#platform/apiserver/features/features.ts";
import { enabledResources, parseRuntimeConfig } from "#platform/apiserver/features/runtime-config.ts";
import { leaseCheck } from "#platform/apiserver/http/components.ts";
import type { Exchange } from "#platform/apiserver/http/exchange.ts";
import { StartSteps } from "#platform/apiserver/http/start-steps.ts";
import { type ApiAddress, ensureKubernetesService } from "#platform/apiserver/kubernetesService.ts";
import { MetricsApi } from "#platform/apiserver/metrics/metrics.ts";
import { METRICS_PATH, withMetrics } from "#platform/apiserver/metrics/served.ts";
import { openApiResponse } from "#platform/apiserver/openapi/openapi.ts";
import type { Published } from "#platform/apiserver/openapi/published.ts";
import { Catalog } from "#platform/apiserver/registry/catalog.ts";
import { Registry } from "#platform/apiserver/registry/registry.ts";
import { strategies } from "#platform/apiserver/resources/index.ts";
import { nodeAddress, startServer } from "#platform/apiserver/server.ts";
import { createStreaming } from "#platform/apiserver/streaming/streaming.ts";
import { retireTenant } from "#platform/apiserver/tenants.ts";
import { decoder, patcher, typeRules } from "#platform/apiserver/types.ts";
import { createWebhookClient } from "#platform/apiserver/webhook/client.ts";
import { mayDial, serviceResolver } from "#platform/apiserver/webhook/services.ts";
import { type Clock, systemClock } from "#platform/base/clock.ts";
import { expositionText } from "#platform/base/exposition.ts";
import { type Log, logIsLost, messageOf } from "#platform/base/log.ts";
import { loopbackAddress } from "#platform/base/loopback.ts";
import { pluginMetrics } from "#platform/plugin-host/exposition.ts";
import { readPluginLog } from "#platform/plugin-host/read-logs.ts";
import { createAccessPlugins } from "#platform/plugin-host/worlds/v1/access.ts";
import { createPanels } from "#platform/plugin-host/worlds/v1/panel.ts";
import { rangeFamily } from "#platform/rules/ranges.ts";
import { ROOT_TENANT } from "#platform/store/port.ts";
import type { TenantDirectory } from "#platform/store/tenants.ts";
import { resources } from "#sdk/api/facts.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { unavailable } from "#sdk/api/status.ts";
import { createClient } from "#sdk/client/client.ts";
import { loadKubeconfig } from "#sdk/client/kubeconfig.ts";
import { componentAuthenticator, componentAuthorizer } from "../access-plugins.ts";
import { serverAdmission } from "../admission.ts";
import { admissionSwitches } from "../admission-options.ts";
import { auditOf } from "../audit.ts";
import { authorizationOf } from "../authorization.ts";
import { type Config, paths, podCIDRsOf, serviceCIDRsOf } from "../config.ts";
import { identityOf } from "../identity.ts";
import { firstAddress, tenantAuthorityCertificate } from "../pki.ts";
import { pluginClients } from "../plugin-users.ts";
import { pluginLogDirectory, rolePlugins } from "../plugins.ts";
import type { StartRole } from "../role.ts";
import { createStore } from "../store.ts";

const NONE: readonly Published[] = [];
const STOP_GRACE_MS = 5_000;
const COMPLETED_AT_ONCE = 50;

/** How pods reach this server: never by a loopback address. */
function advertised(config: Config): ApiAddress {
  const { api, serviceCIDR } = config;
  const family = rangeFamily(serviceCIDR);
  const everywhere = ["0.0.0.0", "::", "127.0.0.1", "localhost", "::1"].includes(api.host);
  const own = Object.values(networkInterfaces())
    .flatMap((list) => list ?? [])
    .filter((a) => a.family === family && !a.internal && !a.address.startsWith("fe80"))
    .map((a) => a.address);
  const address = everywhere ? own[0] : api.host;
  return {
    clusterIP: firstAddress(serviceCIDR),
    addresses: address ? [address] : [],
    port: api.port,
    serviceCIDRs: serviceCIDRsOf(config),
  };
}

function documents(
  address: string,
  clock: Clock,
  builtIn: readonly ResourceFacts[],
  custom: CustomResources,
  aggregation: Aggregation,
) {
  return ({ info, request, query, scope }: Exchange) => {
    const own = custom.served(scope, builtIn);
    const headers = { accept: request.headers.accept, ifNoneMatch: request.headers["if-none-match"] };
    const { path } = info;
    if (!path.startsWith("/openapi/")) {
      const local = aggregation.find(scope, METRICS_PATH) ? own : withMetrics(own);
      return discoveryResponse(aggregation.served(scope, local), { path, ...headers, serverAddress: address });
    }
    const prefix = info.tenant === undefined ? "" : `/tenants/${info.tenant}`;
    return openApiResponse(own, {
      path,
      prefix,
      elsewhere: aggregation.schemaPaths(scope),
      parts: aggregation.swaggers(scope, own),
      ...headers,
      hash: query.get("hash") ?? "",
      now: new Date(clock.now()),
    });
  };
}

const issuerDocuments = (keys: TenantKeys, address: string) => ({
  "/version": { body: () => versionInfo() },
  "/openid/v1/jwks": {
    type: "application/jwk-set+json",
    body: ({ context }: Exchange) => keySet(keys.tokens(context.tenant)),
  },
  "/.well-known/openid-configuration": {
    body: ({ context, info }: Exchange) => ({
      issuer: ISSUER,
      jwks_uri: `https://${address}${info.tenant === undefined ? "" : `/tenants/${context.tenantName}`}/openid/v1/jwks`,
      response_types_supported: ["id_token"],
      subject_types_supported: ["public"],
      id_token_signing_alg_values_supported: [keys.tokens(context.tenant).algorithm],
    }),
  },
});

/** Held by the process whose loops work (roles/controllers.ts). */
const LOOPS_LEASE = {
  tenant: ROOT_TENANT,
  resource: "leases.coordination.k8s.io",
  namespace: "kube-system",
  name: "capstan-controllers",
};

const logged = async (): Promise<void> => {
  if (logIsLost()) throw unavailable("lines are lost");
};

/** Root first, then some at a time: they share the questions whether the cache is fresh. */
async function completeAll<T>([root, ...others]: readonly T[], complete: (tenant: T) => Promise<void>): Promise<void> {
  if (root) await complete(root);
  for (let at = 0; at < others.length; at += COMPLETED_AT_ONCE)
    await Promise.all(others.slice(at, at + COMPLETED_AT_ONCE).map(complete));
}

/** After the start, as upstream: nobody waits for what an older version left incomplete. Never rejects. */
async function reconcileRoles(
  registry: Registry,
  tenants: TenantDirectory,
  clock: Clock,
  log: Log,
  signal: AbortSignal,
) {
  for (const tenant of tenants.all()) {
    if (signal.aborted) return;
    try {
      await reconcileTenant(registry, tenant, clock.now());
    } catch (error) {
      log.error("a tenant's default roles could not be completed", { tenant: tenant.name, error: messageOf(error) });
    }
  }
}

export const start: StartRole = async ({ config, log }) => {
  const clock = systemClock;
  const { pki } = paths(config.dataDir);
  const pem = (name: string) => readFileSync(join(pki, name), "utf8");
  const { server: serverOptions = {} } = config;
  const features = new FeatureGates(serverOptions.featureGates);
  const encryption = serverOptions.encryptionProviderConfig;
  const opened = createStore({ databaseUrl: config.databaseUrl, log, clock, ...(encryption ? { encryption } : {}) });
  const { store, tenants } = opened;
  await opened.ready;
  const steps = new StartSteps();
  steps.done("storage");
  const stop = new AbortController();

  const keys = new TenantKeys(pem("ca.key"), signingKey(pem("sa.key")));
  const tokenKeys = (tenant: number) => keys.tokens(tenant);
  const tokens = serviceAccountTokens(tokenKeys, store);
  const authorities: TenantAuthorities = {
    publicKey: (tenant) => (tenants.byId(tenant) ? keys.authority(tenant).publicKey : undefined),
  };
  const rbac = new Rbac(store, log);
  const kubeconfig = loadKubeconfig(paths(config.dataDir).roleKubeconfig("apiserver"));
  const client = createClient({ ...kubeconfig, userAgent: "capstan-apiserver" });
  const users = pluginClients(kubeconfig);
  const plugins = rolePlugins({
    role: "apiserver",
    instance: `apiserver-${hostname()}`,
    worlds: ["admission", "authorizer", "authenticator", "panel"],
    clientFor: users.clientFor,
    config,
    client,
    log,
    signal: stop.signal,
  });
  const access = createAccessPlugins(plugins.host, log);
  const loaded = Promise.withResolvers<void>();
  const identity = identityOf({
    config,
    store,
    tenants,
    certificates: certificates(pem("ca.crt"), authorities),
    frontProxy: frontProxy({ ca: pem("front-proxy-ca.crt"), allowedNames: [FRONT_PROXY_NAME], tenants }),
    tokens,
    more: [componentAuthenticator(access)],
    log,
    signal: stop.signal,
  });
  const authorizer = authorizationOf({
    options: serverOptions,
    node: nodeAuthorizer(store),
    rbac,
    component: componentAuthorizer(access, tenants, loaded.promise),
    clock,
    log,
    signal: stop.signal,
  });
  const switches = admissionSwitches(serverOptions.enableAdmissionPlugins, serverOptions.disableAdmissionPlugins);
  const { admission, ...admissionLife } = serverAdmission({
    store,
    tenants,
    plugins: plugins.host,
    types: typeRules,
    authorizer,
    catalog: () => catalog,
    switches,
    groupPreemption: features.enabled("WorkloadAwarePreemption"),
    log,
  });
  const address = advertised(config);
  const complete = async (tenant: { id: number; name: string }) => {
    await ensureTenant(registry, tenant, clock.now(), log);
    await ensureKubernetesService(registry, tenant, address, clock.now());
    const authorities = {
      clientCa: async () => (tenant.id === ROOT_TENANT ? pem("ca.crt") : tenantAuthorityCertificate(config, tenant.id)),
      frontProxyCa: pem("front-proxy-ca.crt"),
    };
    await ensureAuthenticationConfig(registry, tenant, authorities, clock.now());
  };
  const maker = {
    create: async (name: string) => {
      const tenant = await tenants.create(name);
      await complete(tenant);
      return tenant.id;
    },
    remove: (name: string) => retireTenant({ store, tenants, registry: () => registry, clock }, name),
  };
  const strategyFor = strategies({
    serviceCIDRs: serviceCIDRsOf(config),
    tokenKeys,
    tokens: identity.reviewer,
    rbac,
    authorizer,
    store,
    paramKinds: (tenant, kind) => catalogParamKinds(() => catalog)(tenant, kind),
    tenants: maker,
    schedulingGroups: features.enabled("GenericWorkload"),
    groupFeatures: {
      preemption: features.enabled("WorkloadAwarePreemption"),
      claims: features.enabled("DRAWorkloadResourceClaims"),
      topology: features.enabled("TopologyAwareWorkloadScheduling"),
    },
  });
  const builtIn = [...resources(), ...enabledResources(parseRuntimeConfig(serverOptions.runtimeConfig), features)];
  const catalog = new Catalog(builtIn, strategyFor);
  const webhooks = createWebhookClient({ resolve: serviceResolver(store), mayDial });
  const custom = new CustomResources({ store, tenants, registry: () => registry, webhooks, log, clock });
  catalog.own = custom;
  const registry = new Registry({
    store,
    admission,
    ...(switches.isOn("ResourceQuota") ? { accounting: quotaAccounting(catalog) } : {}),
    types: typeRules,
    catalog,
    clock,
  });
  const aggregation = new Aggregation({
    store,
    resolve: serviceResolver(store),
    mayDial,
    proxy: { cert: pem("front-proxy-client.crt"), key: pem("front-proxy-client.key") },
    registry: () => registry,
    custom: (tenant) => custom.served(tenant, NONE),
    tenants: () => tenants.all().map(({ id }) => id),
    tenantName: (tenant) => tenants.byId(tenant)?.name ?? "",
    clock,
    log,
  });
  await Promise.all([rbac.start(stop.signal), admissionLife.start(stop.signal)]);
  steps.done("admission");
  const fairness = new Fairness(log);
  fairness.start(store, stop.signal);
  steps.done("fairness");
  const flowConditions = new FlowConditions({ store, registry: () => registry, patcher, tenants, clock, log });
  const audit = auditOf(config.dataDir, serverOptions, clock, log);
  await completeAll(tenants.all(), complete);
  steps.done("tenants");
  await custom.start(stop.signal);
  steps.done("customResources");
  await aggregation.start(stop.signal);
  steps.done("aggregation");
  flowConditions.start(stop.signal);
  keepFlowDefaults({ store, registry: () => registry, clock, log }, stop.signal);

  const nodeCredentials = {
    ca: pem("ca.crt"),
    cert: pem("apiserver-kubelet-client.crt"),
    key: pem("apiserver-kubelet-client.key"),
  };
  const where = `${address.addresses[0] ?? config.api.host}:${config.api.port}`;
  const server = await startServer({
    listen: { ...config.api, cert: pem("apiserver.crt"), key: pem("apiserver.key"), clientCa: pem("ca.crt") },
    registry,
    store,
    tenants,
    authenticator: identity.authenticator,
    anonymous: identity.anonymous,
    authorizer,
    decoder,
    patcher,
    streaming: createStreaming(nodeCredentials),
    proxy: {
      credentials: nodeCredentials,
      podCIDRs: podCIDRsOf(config),
      // Pods of such a node are on loopback, and their addresses in the API alone.
      ...(config.nodes[0]?.componentsOnly ? { reach: (address: string) => loopbackOf(config, address) } : {}),
    },
    metrics: new MetricsApi({
      store,
      credentials: nodeCredentials,
      addressOf: (node) => nodeAddress(store, node),
      log,
    }),
    fairness,
    aggregation,
    features,
    ...(audit ? { audit } : {}),
    components: [
      { name: "controller-manager", check: leaseCheck(store, LOOPS_LEASE, () => clock.now()) },
      { name: "etcd-0", check: opened.check },
    ],
    liveness: [
      { name: "ping", check: async () => undefined },
      { name: "log", check: logged },
      // The name that monitors know the database by.
      { name: "etcd", check: opened.check },
      ...steps.checks(),
    ],
    readiness: [
      { name: "informer-sync", check: opened.checkCache },
      ...(encryption ? [{ name: "kms-providers", check: opened.checkEncryption }] : []),
    ],
    exposition: () => expositionText([...opened.metrics(), ...pluginMetrics(plugins.objects())]),
    pluginPanels: createPanels(plugins.host),
    pluginLog: (tenant, plugin, request) => readPluginLog(pluginLogDirectory(config), tenant, plugin, request),
    documents: documents(where, clock, builtIn, custom, aggregation),
    fixed: issuerDocuments(keys, where),
    log,
    clock,
  });
  log.info("serving", { address: where });
  const reconciling = reconcileRoles(registry, tenants, clock, log, stop.signal);
  const ready = plugins.load();
  ready.then(loaded.resolve, loaded.reject);
  ready.then(admissionLife.pluginsLoaded, (error: unknown) =>
    log.error("plugins could not be loaded", { error: messageOf(error) }),
  );
  return {
    ready,
    stop: async () => {
      stop.abort();
      await reconciling;
      await plugins.host.close();
      users.close();
      client.close();
      await server.close(STOP_GRACE_MS);
      await audit?.close();
      await opened.close();
    },
  };
};

const loopbackOf = ({ instance, nodes }: Config, address: string): string =>
  nodes.some((node) => node.address === address) ? address : loopbackAddress(instance, "pods", address);
