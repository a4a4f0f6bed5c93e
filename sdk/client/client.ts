/** The REST client of port.ts over HTTP/2. */
import { readFileSync } from "node:fs";
import type { GroupVersionResource, KubeList, KubeObject } from "../api/object.ts";
import { type Status, StatusError, unavailable } from "../api/status.ts";
import { readLines, readText } from "./frames.ts";
import { messageOf, pause } from "./log.ts";
import { deleteBody, listQuery, resourcePath, watchQuery, withQuery, writeQuery } from "./paths.ts";
import { type Client, type Patch, TENANT_ANNOTATION, type WatchEvent, type WatchOptions } from "./port.ts";
import { createTransport, type Exchange, type Transport } from "./transport.ts";

export interface ClientOptions {
  /** "https://host:6443", or with "/tenants/NAME" behind it. */
  server: string;
  /** PEM texts. */
  ca?: string;
  cert?: string;
  key?: string;
  token?: string;
  /** Read again every minute: tokens of pods are rotated. */
  tokenFile?: string;
  userAgent?: string;
  /** Acts as this user in this group: the credential needs the verb `impersonate` on both. */
  impersonate?: { user: string; group: string | readonly string[] };
}

const RESPONSE_BYTES_MAX = 512 << 20;
const REQUEST_TIMEOUT_MS = 65_000;
/** A server under load answers 429 or 503 with Retry-After; client-go retries as often. */
const RETRIES_MAX = 10;
const RETRY_WAIT_MS_MAX = 10_000;
const TOKEN_AGE_MS_MAX = 60_000;

const JSON_TYPE = "application/json";
const METADATA_LIST = `${JSON_TYPE};as=PartialObjectMetadataList;g=meta.k8s.io;v=v1,${JSON_TYPE}`;
const METADATA = `${JSON_TYPE};as=PartialObjectMetadata;g=meta.k8s.io;v=v1,${JSON_TYPE}`;
const PATCH_TYPES: Record<Patch["type"], string> = {
  json: "application/json-patch+json",
  merge: "application/merge-patch+json",
  strategic: "application/strategic-merge-patch+json",
  apply: "application/apply-patch+yaml",
};

interface RequestInput {
  method: string;
  path: string;
  body?: string;
  headers?: Record<string, string>;
  signal?: AbortSignal;
}

export function createClient(options: ClientOptions): Client {
  const url = new URL(options.server);
  const transport = createTransport({ origin: url.origin, ca: options.ca, cert: options.cert, key: options.key });
  const path = url.pathname.replace(/\/+$/, "");
  const tenantAt = path.search(/\/tenants\/[^/]+$/);
  const root = tenantAt < 0 ? path : path.slice(0, tenantAt);
  const connection: Connection = {
    transport,
    root,
    headers: {
      ":authority": url.host,
      "user-agent": options.userAgent ?? "capstan-client",
      ...(options.impersonate
        ? { "impersonate-user": options.impersonate.user, "impersonate-group": [options.impersonate.group].flat() }
        : {}),
    },
    authorization: tokenSource(options),
  };
  return clientAt(connection, path);
}

interface Connection {
  transport: Transport;
  /** What is before "/tenants/…" in the server's URL. */
  root: string;
  headers: Record<string, string | string[]>;
  authorization(): string | undefined;
}

function tokenSource(options: ClientOptions): () => string | undefined {
  const file = options.tokenFile;
  if (!file) return () => (options.token ? `Bearer ${options.token}` : undefined);
  let token = "";
  let readAt = Number.NEGATIVE_INFINITY;
  return () => {
    if (performance.now() - readAt > TOKEN_AGE_MS_MAX) {
      token = readFileSync(file, "utf8").trim();
      readAt = performance.now();
    }
    return `Bearer ${token}`;
  };
}

function clientAt(connection: Connection, prefix: string): Client {
  const request = (input: RequestInput) => call(connection, { ...input, path: prefix + input.path });
  const parsed = async <T>(input: RequestInput): Promise<T> => {
    const { code, body } = await request(input);
    if (code >= 400) throw statusErrorOf(code, body);
    return JSON.parse(body) as T;
  };
  const write = <T extends KubeObject>(method: string, path: string, object: T) =>
    parsed<T>({ method, path, body: JSON.stringify(withoutTenant(object)), headers: { "content-type": JSON_TYPE } });

  return {
    tenant: (name) => clientAt(connection, name === "" ? connection.root : `${connection.root}/tenants/${name}`),
    get: (r, n) => parsed({ method: "GET", path: resourcePath(r, n) }),
    async list<T extends KubeObject>(r: GroupVersionResource, o = {} as Parameters<Client["list"]>[1]) {
      const options = o ?? {};
      const list = await parsed<KubeList<T>>({
        method: "GET",
        path: withQuery(resourcePath(r, { namespace: options.namespace }), listQuery(options)),
        headers: options.metadataOnly ? { accept: METADATA_LIST } : {},
      });
      return { ...list, items: (list.items ?? []).map((item) => withKind(item, list)) };
    },
    watch: (r, o) => watch(connection, prefix, r, o),
    create: (r, object, o) =>
      write(
        "POST",
        withQuery(
          resourcePath(r, {
            namespace: object.metadata.namespace,
            name: o?.subresource ? (o.name ?? object.metadata.name) : undefined,
            subresource: o?.subresource,
          }),
          writeQuery(o),
        ),
        object,
      ),
    update: (r, object, o) =>
      write(
        "PUT",
        withQuery(resourcePath(r, { ...nameOf(object), subresource: o?.subresource }), writeQuery(o)),
        object,
      ),
    patch: (r, n, patch, o) =>
      parsed({
        method: "PATCH",
        path: withQuery(resourcePath(r, { ...n, subresource: o?.subresource }), {
          ...writeQuery(o),
          ...(patch.type === "apply" ? { fieldManager: patch.fieldManager, force: patch.force } : {}),
        }),
        body: JSON.stringify(patch.body),
        headers: { "content-type": PATCH_TYPES[patch.type] },
      }),
    async delete(r, n, o) {
      await parsed({
        method: "DELETE",
        path: resourcePath(r, n),
        body: deleteBody(o),
        headers: { "content-type": JSON_TYPE },
      });
    },
    async deleteCollection(r, o) {
      await parsed({
        method: "DELETE",
        path: withQuery(resourcePath(r, { namespace: o.namespace }), listQuery(o)),
        body: deleteBody(o),
        headers: { "content-type": JSON_TYPE },
      });
    },
    raw: (method, path, body, headers) => request({ method, path, body, headers }),
    close: () => connection.transport.close(),
  };
}

const nameOf = (object: KubeObject) => ({
  namespace: object.metadata.namespace,
  name: object.metadata.name ?? "",
});

/** Items of a list carry neither kind nor apiVersion; who made an owner reference or an event of them would need both. */
function withKind<T extends KubeObject>(item: T, list: KubeList<T>): T {
  if (item.kind || !list.kind?.endsWith("List")) return item;
  return { apiVersion: list.apiVersion, kind: list.kind.slice(0, -4), ...item };
}

/** The tenant annotation is the server's; what was read through the wildcard is written back without it. */
function withoutTenant<T extends KubeObject>(object: T): T {
  if (object.metadata.annotations?.[TENANT_ANNOTATION] === undefined) return object;
  const { [TENANT_ANNOTATION]: _, ...annotations } = object.metadata.annotations;
  return { ...object, metadata: { ...object.metadata, annotations } };
}

async function call(connection: Connection, input: RequestInput): Promise<{ code: number; body: string }> {
  for (let attempt = 0; ; attempt++) {
    const { code, headers, stream } = await head(connection, input, REQUEST_TIMEOUT_MS);
    const body = await readBody(stream, RESPONSE_BYTES_MAX);
    const retryAfter = Number(headers["retry-after"]);
    const overloaded = (code === 429 || code >= 500) && headers["retry-after"] !== undefined;
    if (!overloaded || attempt >= RETRIES_MAX) return { code, body };
    await pause(Math.min((Number.isFinite(retryAfter) ? retryAfter : 1) * 1000, RETRY_WAIT_MS_MAX), input.signal);
  }
}

function head(connection: Connection, input: RequestInput, timeoutMs: number | undefined): Promise<Exchange> {
  const authorization = connection.authorization();
  return connection.transport.send(
    {
      ...connection.headers,
      accept: JSON_TYPE,
      ...(authorization ? { authorization } : {}),
      ...input.headers,
      ":method": input.method,
      ":path": input.path,
    },
    input.body,
    input.signal,
    timeoutMs,
  );
}

async function readBody(stream: Exchange["stream"], bytesMax: number): Promise<string> {
  const timer = setTimeout(() => stream.destroy(new Error("the response took too long")), REQUEST_TIMEOUT_MS);
  try {
    const text = await readText(stream, bytesMax);
    if (stream.aborted) throw new Error("the response is incomplete");
    return text;
  } catch (error) {
    throw error instanceof StatusError ? error : unavailable(`the connection was lost: ${messageOf(error)}`);
  } finally {
    clearTimeout(timer);
  }
}

interface RawEvent<T> {
  type: "ADDED" | "MODIFIED" | "DELETED" | "BOOKMARK" | "ERROR";
  object: T;
}

async function* watch<T extends KubeObject>(
  connection: Connection,
  prefix: string,
  r: GroupVersionResource,
  o: WatchOptions,
): AsyncGenerator<WatchEvent<T>> {
  if (o.signal.aborted) return;
  const path = prefix + withQuery(resourcePath(r, { namespace: o.namespace }), watchQuery(o));
  const headers: Record<string, string> = o.metadataOnly ? { accept: METADATA } : {};
  let stream: Exchange["stream"] | undefined;
  try {
    const exchange = await head(connection, { method: "GET", path, headers, signal: o.signal }, REQUEST_TIMEOUT_MS);
    stream = exchange.stream;
    if (exchange.code >= 400) throw statusErrorOf(exchange.code, await readBody(stream, RESPONSE_BYTES_MAX));
    for await (const line of readLines(stream)) {
      const event = JSON.parse(line) as RawEvent<T>;
      if (event.type === "ERROR") throw StatusError.from(event.object as unknown as Status);
      yield event as WatchEvent<T>;
    }
  } catch (error) {
    if (o.signal.aborted) return;
    throw error instanceof StatusError ? error : unavailable(`the watch was lost: ${messageOf(error)}`);
  } finally {
    // A consumer that stops early cancels the request; otherwise the server would go on sending.
    stream?.destroy();
  }
}

/** client-go's reasons for answers that carry no Status (NewGenericServerResponse). */
const REASONS: Record<number, string> = {
  400: "BadRequest",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  405: "MethodNotAllowed",
  406: "NotAcceptable",
  409: "Conflict",
  410: "Gone",
  415: "UnsupportedMediaType",
  422: "Invalid",
  429: "TooManyRequests",
  500: "InternalError",
  503: "ServiceUnavailable",
  504: "Timeout",
};

/** What an answer of 400 and more says: its Status, or one made of its text. */
export function statusErrorOf(code: number, body: string): StatusError {
  try {
    const status = JSON.parse(body) as Status;
    if (status.kind === "Status") return StatusError.from(status);
  } catch {
    // Not JSON: a proxy's page or plain text; its beginning is the message.
  }
  return new StatusError(code, REASONS[code] ?? "Unknown", body.slice(0, 2048).trim() || `the server answered ${code}`);
}
