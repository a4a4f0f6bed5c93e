/**
 * Who may ask the agent (kubernetes/pkg/kubelet/server/auth.go): certificates of the cluster's authority and tokens that the API server
 * knows; each request is a verb on a subresource of this node, which the API server judges. Its own certificate and the
 * operator's need no question.
 */
import { createHash } from "node:crypto";
import type { IncomingMessage } from "node:http";
import { TLSSocket } from "node:tls";
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import type { NodeContext } from "../context.ts";
import { HttpError } from "./request.ts";

const TOKEN_REVIEWS: GroupVersionResource = { group: "authentication.k8s.io", version: "v1", resource: "tokenreviews" };
const ACCESS_REVIEWS: GroupVersionResource = {
  group: "authorization.k8s.io",
  version: "v1",
  resource: "subjectaccessreviews",
};
const CLIENT_NAMES = new Set(["kube-apiserver-kubelet-client"]);
const CLIENT_GROUPS = new Set(["system:masters"]);
/** The kubelet's webhook cache: authentication 2 min, authorized 5 min, unauthorized 30 s. */
const TOKEN_MS = 120_000;
const ALLOWED_MS = 300_000;
const DENIED_MS = 30_000;
const ENTRIES_MAX = 1_000;

interface Caller {
  username: string;
  groups?: string[];
  uid?: string;
  extra?: Record<string, string[]>;
}

interface Review<S> extends KubeObject {
  spec: object;
  status?: S;
}

const VERBS: Readonly<Record<string, string>> = {
  GET: "get",
  HEAD: "get",
  POST: "create",
  PUT: "update",
  PATCH: "patch",
  DELETE: "delete",
};

/** What must be allowed on the node, any one of them. */
export function subresourcesOf(path: string): string[] {
  const area = path.split("/")[1] ?? "";
  switch (area) {
    case "pods":
    case "runningpods":
      return ["pods", "proxy"];
    case "healthz":
      return ["healthz", "proxy"];
    case "configz":
      return ["configz", "proxy"];
    case "stats":
      return ["stats"];
    case "metrics":
      return ["metrics"];
    case "logs":
      return ["log"];
    default:
      return ["proxy"];
  }
}

export interface NodeAuth {
  /** Rejects with HttpError 401 or 403. */
  authorize(request: IncomingMessage): Promise<void>;
}

export function createNodeAuth(context: NodeContext): NodeAuth {
  const { client, settings } = context;
  const tokens = createCache<Caller | undefined>(context);
  const verdicts = createCache<boolean>(context);

  const byToken = (token: string): Promise<Caller | undefined> => {
    const key = createHash("sha256").update(token).digest("hex");
    return tokens(key, async () => {
      const review: Review<{ authenticated?: boolean; user?: Caller }> = {
        apiVersion: "authentication.k8s.io/v1",
        kind: "TokenReview",
        metadata: {},
        spec: { token },
      };
      const { status } = await client.create(TOKEN_REVIEWS, review);
      return { value: status?.authenticated === true ? status.user : undefined, ms: TOKEN_MS };
    });
  };

  const allowed = (caller: Caller, verb: string, subresource: string): Promise<boolean> => {
    const resourceAttributes = { verb, version: "v1", resource: "nodes", subresource, name: settings.name };
    const { username: user, ...rest } = caller;
    return verdicts(JSON.stringify([caller, verb, subresource]), async () => {
      const review: Review<{ allowed?: boolean }> = {
        apiVersion: "authorization.k8s.io/v1",
        kind: "SubjectAccessReview",
        metadata: {},
        spec: { user, ...rest, resourceAttributes },
      };
      const { status } = await client.create(ACCESS_REVIEWS, review);
      const value = status?.allowed === true;
      return { value, ms: value ? ALLOWED_MS : DENIED_MS };
    });
  };

  const callerOf = async (request: IncomingMessage): Promise<Caller | undefined> => {
    const { socket } = request;
    if (socket instanceof TLSSocket && socket.authorized) {
      const { subject } = socket.getPeerCertificate();
      const [username = ""] = [subject?.CN ?? []].flat();
      return { username, groups: [...[subject?.O ?? []].flat(), "system:authenticated"] };
    }
    const token = /^Bearer +(\S+)$/i.exec(request.headers.authorization ?? "")?.[1];
    return token === undefined ? undefined : await byToken(token);
  };

  return {
    async authorize(request) {
      const caller = await callerOf(request);
      if (caller === undefined) throw new HttpError(401, "Unauthorized");
      if (CLIENT_NAMES.has(caller.username) || caller.groups?.some((group) => CLIENT_GROUPS.has(group))) return;
      const verb = VERBS[request.method ?? ""] ?? "";
      const subresources = subresourcesOf(new URL(request.url ?? "/", "https://node").pathname);
      for (const subresource of subresources) if (await allowed(caller, verb, subresource)) return;
      throw new HttpError(
        403,
        `Forbidden (user=${caller.username}, verb=${verb}, resource=nodes, subresource(s)=[${subresources.join(" ")}])`,
      );
    },
  };
}

/** Answers by key until their time is over; a question that failed is asked again. */
function createCache<T>({ clock }: NodeContext) {
  const kept = new Map<string, { until: number; value: T }>();
  return async (key: string, ask: () => Promise<{ value: T; ms: number }>): Promise<T> => {
    const known = kept.get(key);
    if (known !== undefined && clock.now() < known.until) return known.value;
    const { value, ms } = await ask();
    kept.delete(key);
    kept.set(key, { value, until: clock.now() + ms });
    if (kept.size > ENTRIES_MAX) kept.delete(kept.keys().next().value ?? "");
    return value;
  };
}
