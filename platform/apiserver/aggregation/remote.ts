/** An aggregated API: a group's version that another server of the tenant's answers, as its APIService says. */

import type { ClientRequest } from "node:http";
import { request as httpsRequest, type RequestOptions } from "node:https";
import type { TenantId } from "#platform/store/port.ts";
import type { APIService, APIServiceCondition } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import type { UserInfo } from "../registry/admission.ts";

export interface RemoteApi {
  tenant: TenantId;
  /** Of the APIService: "VERSION.GROUP". */
  name: string;
  group: string;
  version: string;
  service: { namespace: string; name: string; port: number };
  /** PEM; unset: the machine's own roots. */
  ca: string | undefined;
  insecure: boolean;
  priority: { group: number; version: number };
  /** As the object has it; unset before anybody looked. */
  condition: APIServiceCondition | undefined;
}

/** Undefined where this server answers itself. */
export function remoteOf(object: DynamicObject, tenant: TenantId): RemoteApi | undefined {
  const { metadata, spec, status } = object as unknown as APIService;
  if (!spec?.service) return undefined;
  const { namespace = "", name = "", port = 443 } = spec.service;
  return {
    tenant,
    name: metadata.name ?? "",
    group: spec.group ?? "",
    version: spec.version ?? "",
    service: { namespace, name, port },
    ca: spec.caBundle ? Buffer.from(spec.caBundle, "base64").toString("utf8") : undefined,
    insecure: spec.insecureSkipTLSVerify === true,
    priority: { group: spec.groupPriorityMinimum, version: spec.versionPriority },
    condition: status?.conditions?.find(({ type }) => type === "Available"),
  };
}

export const isAvailable = ({ condition }: RemoteApi): boolean => condition?.status === "True";

export const pathOf = ({ group, version }: Pick<RemoteApi, "group" | "version">): string =>
  group === "" ? `/api/${version}` : `/apis/${group}/${version}`;

/** What this server shows of itself to extension servers: a client certificate of the front proxy's authority (requestheader in upstream). */
export interface FrontProxy {
  cert: string;
  key: string;
}

const EXTRA = "x-remote-extra-";
export const isRemoteHeader = (name: string): boolean => name.startsWith("x-remote-");

/** Who asks, in the headers that an extension server believes from a front proxy alone. */
export function remoteHeaders(
  user: Pick<UserInfo, "name" | "groups" | "uid" | "extra">,
): Record<string, string | string[]> {
  const extra = Object.entries(user.extra ?? {}).map(([key, values]) => [
    `${EXTRA}${encodeURIComponent(key).toLowerCase()}`,
    [...values],
  ]);
  return {
    "x-remote-user": user.name,
    "x-remote-group": [...user.groups],
    ...(user.uid ? { "x-remote-uid": user.uid } : {}),
    ...Object.fromEntries(extra),
  };
}

export interface Dial {
  api: RemoteApi;
  address: { host: string; port: number };
  proxy: FrontProxy;
  method: string;
  path: string;
  headers: Record<string, string | string[]>;
  /** False refuses an address that the tenant may not reach; asked about the one really dialled. */
  mayDial(tenant: TenantId, address: string): boolean;
  signal?: AbortSignal;
}

/** Opens a request to an extension server, whose certificate must be its service's. The caller ends it. */
export function dial({ api, address, proxy, method, path, headers, mayDial, signal }: Dial): ClientRequest {
  const { service, ca, insecure } = api;
  const servername = `${service.name}.${service.namespace}.svc`;
  const options: RequestOptions = {
    ...address,
    method,
    path,
    headers: { ...headers, host: `${servername}:${service.port}` },
    agent: false,
    servername,
    cert: proxy.cert,
    key: proxy.key,
    rejectUnauthorized: !insecure,
    ...(ca ? { ca } : {}),
    ...(signal ? { signal } : {}),
  };
  const sent = httpsRequest(options);
  sent.on("socket", (socket) => {
    socket.once("connect", () => {
      if (!mayDial(api.tenant, socket.remoteAddress ?? "")) sent.destroy(new Error("the address is not allowed"));
    });
  });
  return sent;
}

/** One resource as an APIResourceList has it. */
interface ListedResource {
  name: string;
  singularName?: string;
  namespaced?: boolean;
  kind: string;
  group?: string;
  version?: string;
  verbs?: string[];
  shortNames?: string[];
  categories?: string[];
}

/** An APIResourceList as this server's own list of resources has its entries. */
export function resourcesOf({ group, version }: RemoteApi, list: unknown): ResourceFacts[] {
  const all = ((list as { resources?: ListedResource[] } | null)?.resources ?? []).filter((r) => r?.name && r.kind);
  return all
    .filter(({ name }) => !name.includes("/"))
    .map((r) => ({
      group,
      version,
      resource: r.name,
      kind: r.kind,
      singular: r.singularName ?? "",
      namespaced: r.namespaced === true,
      verbs: r.verbs ?? [],
      shortNames: r.shortNames ?? [],
      categories: r.categories ?? [],
      subresources: all
        .filter(({ name }) => name.startsWith(`${r.name}/`))
        .map((s) => ({
          name: s.name.slice(r.name.length + 1),
          kind: s.kind,
          verbs: s.verbs ?? [],
          ...(s.group !== undefined ? { group: s.group } : {}),
          ...(s.version !== undefined ? { version: s.version } : {}),
        })),
    }));
}
