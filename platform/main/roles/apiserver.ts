/** Composition root of the API server. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { admissionChain, noComponents } from "#platform/apiserver/admission/chain.ts";
import { firstOf } from "#platform/apiserver/authn/authenticator.ts";
import { keySet, signingKey } from "#platform/apiserver/authn/jwt.ts";
import { ISSUER, serviceAccountTokens } from "#platform/apiserver/authn/serviceAccounts.ts";
import { certificates } from "#platform/apiserver/authn/x509.ts";
import { masters, unionOf } from "#platform/apiserver/authz/authorizer.ts";
import { Rbac } from "#platform/apiserver/authz/rbac.ts";
import { discoveryResponse, versionInfo } from "#platform/apiserver/discovery/discovery.ts";
import { openApiResponse } from "#platform/apiserver/openapi/openapi.ts";
import { Catalog } from "#platform/apiserver/registry/catalog.ts";
import { Registry } from "#platform/apiserver/registry/registry.ts";
import { strategyFor } from "#platform/apiserver/resources/index.ts";
import { startServer } from "#platform/apiserver/server.ts";
import { decoder, patcher, typeRules } from "#platform/apiserver/types.ts";
import { systemClock } from "#platform/base/clock.ts";
import { resources } from "#sdk/api/facts.ts";
import { paths } from "../config.ts";
import type { StartRole } from "../role.ts";
import { createStore } from "../store.ts";

export const start: StartRole = async ({ config, log }) => {
  const clock = systemClock;
  const { pki } = paths(config.dataDir);
  const pem = (name: string) => readFileSync(join(pki, name), "utf8");
  const opened = createStore({ databaseUrl: config.databaseUrl, log, clock });
  const { store, tenants } = opened;
  await opened.ready;
  const stop = new AbortController();

  const key = signingKey(pem("sa.key"));
  const tokens = serviceAccountTokens(key, store);
  const rbac = new Rbac(store, log);
  const catalog = new Catalog(resources(), strategyFor);
  const admission = admissionChain([], noComponents);
  const registry = new Registry({ store, admission, types: typeRules, catalog, clock });
  await rbac.start(stop.signal);

  const address = `${config.api.host}:${config.api.port}`;
  const server = await startServer({
    listen: { ...config.api, cert: pem("apiserver.crt"), key: pem("apiserver.key"), clientCa: pem("ca.crt") },
    registry,
    store,
    tenants,
    authenticator: firstOf([certificates(pem("ca.crt")), tokens]),
    authorizer: unionOf([masters, rbac]),
    decoder,
    patcher,
    tables: { columns: () => [], cells: () => [] },
    liveness: [{ name: "ping", check: async () => undefined }],
    readiness: [],
    documents: ({ info, request, query }) => {
      const headers = { accept: request.headers.accept, ifNoneMatch: request.headers["if-none-match"] };
      const { path } = info;
      if (!path.startsWith("/openapi/"))
        return discoveryResponse(resources(), { path, ...headers, serverAddress: address });
      const prefix = info.tenant === undefined ? "" : `/tenants/${info.tenant}`;
      return openApiResponse(resources(), {
        path,
        prefix,
        ...headers,
        hash: query.get("hash") ?? "",
        now: new Date(clock.now()),
      });
    },
    fixed: {
      "/version": { body: () => versionInfo() },
      "/openid/v1/jwks": { type: "application/jwk-set+json", body: () => keySet(key) },
      "/.well-known/openid-configuration": {
        body: () => ({
          issuer: ISSUER,
          jwks_uri: `https://${address}/openid/v1/jwks`,
          response_types_supported: ["id_token"],
          subject_types_supported: ["public"],
          id_token_signing_alg_values_supported: [key.algorithm],
        }),
      },
    },
    log,
    clock,
  });
  log.info("serving", { address });
  return {
    ready: Promise.resolve(),
    stop: async () => {
      stop.abort();
      await server.close(10_000);
      await opened.close();
    },
  };
};
