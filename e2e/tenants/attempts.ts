/** Every request that an API's discovery makes thinkable, for trying them with somebody else's credential. */
import { Agent, type RequestOptions, request } from "node:https";
import type { ObjectMeta } from "#sdk/api/object.ts";

export interface Attempt {
  method: string;
  /** Below the server's own path. */
  path: string;
  body?: string;
  type?: string;
  /** Asks for a stream over WebSocket, as exec and its like do. */
  upgrade?: boolean;
}

interface ResourceList {
  groupVersion: string;
  resources: { name: string; kind: string; namespaced: boolean; version?: string; group?: string }[];
}

const PATCHES = ["json-patch", "merge-patch", "strategic-merge-patch", "apply-patch"] as const;
const STREAMS = new Set(["exec", "attach", "portforward", "proxy"]);

const patchType = (patch: (typeof PATCHES)[number]): string =>
  patch === "apply-patch" ? "application/apply-patch+yaml" : `application/${patch}+json`;

function patches(path: string, body: string): Attempt[] {
  return PATCHES.map((patch) => ({
    method: "PATCH",
    path: patch === "apply-patch" ? `${path}?fieldManager=x&force=true` : path,
    type: patchType(patch),
    body: patch === "json-patch" ? '[{"op":"add","path":"/metadata/labels","value":{"a":"b"}}]' : body,
  }));
}

function onResource(base: string, legacy: string, resource: ResourceList["resources"][number], groupVersion: string) {
  const { name: plural, kind, namespaced } = resource;
  const within = namespaced ? "/namespaces/default" : "";
  const collection = `${base}${within}/${plural}`;
  const item = `${collection}/mine`;
  const body = JSON.stringify({ apiVersion: groupVersion, kind, metadata: { name: "mine", labels: { a: "b" } } });
  return [
    { method: "GET", path: collection },
    { method: "GET", path: `${collection}?watch=1&timeoutSeconds=1` },
    ...(namespaced ? [{ method: "GET", path: `${base}/${plural}` }] : []),
    { method: "GET", path: `${legacy}${within}/${plural}?timeoutSeconds=1` },
    { method: "POST", path: collection, body },
    { method: "DELETE", path: collection },
    { method: "GET", path: item },
    { method: "GET", path: `${collection}?watch=1&timeoutSeconds=1&fieldSelector=metadata.name%3Dmine` },
    { method: "PUT", path: item, body },
    ...patches(item, body),
    { method: "DELETE", path: item },
  ];
}

function onSubresource(base: string, resource: ResourceList["resources"][number], groupVersion: string): Attempt[] {
  const [plural = "", subresource = ""] = resource.name.split("/");
  const path = `${base}${resource.namespaced ? "/namespaces/default" : ""}/${plural}/mine/${subresource}`;
  const { group, version, kind } = resource;
  const apiVersion = version ? (group ? `${group}/${version}` : version) : groupVersion;
  const body = JSON.stringify({ apiVersion, kind, metadata: { name: "mine" } });
  const streams = STREAMS.has(subresource)
    ? [
        { method: "GET", path: `${path}?command=id&ports=80&stdout=true`, upgrade: true },
        { method: "GET", path: `${path}/deeper` },
      ]
    : [];
  return [
    ...["GET", "DELETE"].map((method) => ({ method, path })),
    ...["POST", "PUT"].map((method) => ({ method, path, body })),
    ...patches(path, body),
    ...streams,
  ];
}

/** All verbs on all resources and subresources of a discovery, those included that a kind does not have. */
export function attemptsOn(lists: readonly ResourceList[]): Attempt[] {
  return lists.flatMap(({ groupVersion, resources }) => {
    const base = groupVersion.includes("/") ? `/apis/${groupVersion}` : `/api/${groupVersion}`;
    const legacy = `${base}/watch`;
    return resources.flatMap((resource): Attempt[] =>
      resource.name.includes("/")
        ? onSubresource(base, resource, groupVersion)
        : onResource(base, legacy, resource, groupVersion),
    );
  });
}

export interface Holder {
  ca: string;
  cert?: string;
  key?: string;
  token?: string;
}

export interface Caller {
  /** The status code; 101 where a stream was opened. */
  code(attempt: Attempt): Promise<number>;
  json<T>(path: string): Promise<T>;
  close(): void;
}

const CONNECTIONS = 16;
const ANSWER_MS_MAX = 30_000;

/** A client that holds one credential; `server` is the URL with the tenant's prefix. */
export function caller(server: string, { ca, cert, key, token }: Holder): Caller {
  const agent = new Agent({ ca, ...(cert && key ? { cert, key } : {}), keepAlive: true, maxSockets: CONNECTIONS });
  const send = (attempt: Attempt): Promise<{ code: number; text: string }> =>
    new Promise((resolve, reject) => {
      const { method, path, body, type = "application/json", upgrade } = attempt;
      const streamed = {
        connection: "Upgrade",
        upgrade: "websocket",
        "sec-websocket-version": "13",
        "sec-websocket-key": "AAAAAAAAAAAAAAAAAAAAAA==",
        "sec-websocket-protocol": "v5.channel.k8s.io",
      };
      const options: RequestOptions = {
        method,
        agent,
        timeout: ANSWER_MS_MAX,
        headers: {
          ...(body ? { "content-type": type, "content-length": Buffer.byteLength(body) } : {}),
          ...(token ? { authorization: `Bearer ${token}` } : {}),
          ...(upgrade ? streamed : {}),
        },
      };
      const sent = request(`${server}${path}`, options, async (response) => {
        const text = (await response.setEncoding("utf8").toArray()).join("");
        resolve({ code: response.statusCode ?? 0, text });
      });
      sent.on("upgrade", (_, socket) => {
        socket.destroy();
        resolve({ code: 101, text: "" });
      });
      sent.on("timeout", () => sent.destroy(new Error(`no answer to ${method} ${path}`)));
      sent.on("error", reject);
      sent.end(body);
    });
  return {
    code: async (attempt) => (await send(attempt)).code,
    json: async <T>(path: string) => JSON.parse((await send({ method: "GET", path })).text) as T,
    close: () => agent.destroy(),
  };
}

/** Makes all attempts, some at a time, and answers those whose code is not among the good ones. */
export async function unrefused(who: Caller, attempts: readonly Attempt[], good: readonly number[]): Promise<string[]> {
  const found: string[] = [];
  let next = 0;
  const work = async () => {
    for (let attempt = attempts[next++]; attempt; attempt = attempts[next++]) {
      const code = await who.code(attempt);
      if (!good.includes(code)) found.push(`${code} ${attempt.method} ${attempt.path} ${attempt.type ?? ""}`.trim());
    }
  };
  await Promise.all(Array.from({ length: CONNECTIONS }, work));
  return found;
}

/** The lists of resources of every group and version, as `kubectl api-resources` reads them. */
export async function discovery(owner: Caller): Promise<ResourceList[]> {
  const { groups } = await owner.json<{ groups: { versions: { groupVersion: string }[] }[] }>("/apis");
  const paths = groups.flatMap(({ versions }) => versions.map(({ groupVersion }) => `/apis/${groupVersion}`));
  return Promise.all(["/api/v1", ...paths].map((path) => owner.json<ResourceList>(path)));
}

/** What a tenant holds: each object that can be listed, with what attempts would have changed of it. */
export async function holdings(owner: Caller, lists: readonly ResourceList[]): Promise<string[]> {
  const found: string[] = [];
  for (const { groupVersion, resources } of lists) {
    const base = groupVersion.includes("/") ? `/apis/${groupVersion}` : `/api/${groupVersion}`;
    for (const { name } of resources.filter(({ name }) => !name.includes("/") && !VOLATILE.has(name))) {
      const list = await owner.json<{ items?: { metadata: ObjectMeta }[] }>(`${base}/${name}`);
      for (const { metadata } of list.items ?? [])
        found.push(`${base}/${name} ${metadata.uid} ${metadata.generation} ${JSON.stringify(metadata.labels)}`);
    }
  }
  return found.sort();
}

/** The platform's own loops write these meanwhile. */
const VOLATILE = new Set(["events", "leases", "componentstatuses"]);
