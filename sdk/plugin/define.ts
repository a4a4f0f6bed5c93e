/**
 * For guests: one function per world. A plugin's `plugin.ts` exports what they return under the world's name:
 *
 *     export const filter = defineFilter({ sync(delta) { … }, evaluate(pods, nodes) { … } });
 *
 * A plugin of several worlds exports several; `filter` and `score` of one plugin share one node table, so their `sync` is
 * given once, by `nodes`. What a hook throws becomes its failure: a PluginFailure as it is, anything else InternalError; in hooks
 * that cannot fail (filter, score) it is logged and ends the instance.
 */
import log from "capstan:plugin/log@1.0.0";
import { failureOf } from "./failure.ts";
import type {
  AccessAttributes,
  AccessDecision,
  Attachment,
  Mutation,
  NodeDelta,
  OfferAnswer,
  PanelQuery,
  PermitDecision,
  Placement,
  PodClass,
  ReconcileOutcome,
  ReconcileRequest,
  Review,
  Room,
  ScoreChanges,
  TokenUser,
  VerdictChanges,
  Verdicts,
  Watch,
} from "./types.ts";

const logged = (thrown: unknown): void => {
  const stack = thrown instanceof Error && thrown.stack ? `\n${thrown.stack}` : "";
  log.write("error", `${failureOf(thrown).message}${stack}`);
};

/** No hook has more. */
type Parameters = [a?: unknown, b?: unknown, c?: unknown];

/** `hook`, throwing what `rethrown` makes of what it throws. Named parameters: a list of however many costs QuickJS a microsecond a call. */
function guarded<A extends Parameters, R>(
  hook: (...args: A) => R,
  rethrown: (thrown: unknown) => unknown,
): (...args: A) => R {
  const plain = hook as (...args: Parameters) => R;
  return (a?: unknown, b?: unknown, c?: unknown): R => {
    try {
      return plain(a, b, c);
    } catch (thrown) {
      throw rethrown(thrown);
    }
  };
}

/** A hook whose answer is `result<…, failure>`. */
export const failing = <A extends Parameters, R>(hook: (...args: A) => R): ((...args: A) => R) =>
  guarded(hook, (thrown) => {
    const failure = failureOf(thrown);
    if (failure.reason === "InternalError") logged(thrown);
    return failure;
  });

/** A hook that cannot fail: the instance ends, and the log says why. */
export const trapping = <A extends Parameters, R>(hook: (...args: A) => R): ((...args: A) => R) =>
  guarded(hook, (thrown) => {
    logged(thrown);
    return thrown;
  });

const absent = (hook: string) => (): never => {
  throw new Error(`${hook} is not implemented by this plugin; its manifest must not list it`);
};

export interface NodesHooks {
  sync(delta: NodeDelta): void;
}
export const defineNodes = (hooks: NodesHooks) => ({ sync: trapping((delta: NodeDelta) => hooks.sync(delta)) });

export interface FilterHooks {
  evaluate(pods: PodClass[], nodes: ArrayLike<number>): Verdicts[];
  /** Where the manifest's scope is "cluster". */
  update?(pod: PodClass): VerdictChanges;
}
export const defineFilter = (hooks: FilterHooks) => ({
  evaluate: trapping((pods: PodClass[], nodes: ArrayLike<number>) => hooks.evaluate(pods, nodes)),
  update: trapping((pod: PodClass) => (hooks.update ?? absent("update"))(pod)),
});

export interface ScoreHooks {
  score(pods: PodClass[], nodes: ArrayLike<number>): ArrayLike<number>[];
  /** Left out: scores are 0–100 already, and the manifest's hooks for score are ["score"]. */
  normalize?(scores: ArrayLike<number>): ArrayLike<number>;
  /** Where the manifest's scope is "cluster". */
  update?(pod: PodClass): ScoreChanges;
}
export const defineScore = (hooks: ScoreHooks) => ({
  update: trapping((pod: PodClass) => (hooks.update ?? absent("update"))(pod)),
  score: trapping((pods: PodClass[], nodes: ArrayLike<number>) => hooks.score(pods, nodes)),
  normalize: trapping((scores: ArrayLike<number>) => hooks.normalize?.(scores) ?? scores),
});

export interface AdmissionHooks {
  mutate?(review: Review): Mutation;
  /** Answers warnings. */
  validate?(review: Review): string[];
}
export const defineAdmission = (hooks: AdmissionHooks) => ({
  mutate: failing<[Review], Mutation>(hooks.mutate ?? absent("mutate")),
  validate: failing<[Review], string[]>(hooks.validate ?? absent("validate")),
});

export interface AuthorizerHooks {
  authorize(attributes: AccessAttributes): AccessDecision;
}
export const defineAuthorizer = (hooks: AuthorizerHooks) => ({
  authorize: failing((attributes: AccessAttributes) => hooks.authorize(attributes)),
});

export interface AuthenticatorHooks {
  /** Undefined: the token is none of this plugin's. */
  authenticate(token: string): (Pick<TokenUser, "name"> & Partial<TokenUser>) | undefined;
}
const NOBODY: TokenUser = { name: "", uid: "", groups: [], extra: [] };
export const defineAuthenticator = (hooks: AuthenticatorHooks) => ({
  authenticate: failing((token: string): TokenUser => ({ ...NOBODY, ...hooks.authenticate(token) })),
});

export interface ControllerHooks {
  watches(): Watch[];
  reconcile(request: ReconcileRequest): ReconcileOutcome | undefined;
}
export const defineController = (hooks: ControllerHooks) => ({
  watches: trapping(() => hooks.watches()),
  reconcile: failing((request: ReconcileRequest) => hooks.reconcile(request) ?? { requeueMs: 0 }),
});

/** CRI's methods: a request message in, a response message out (protobuf's JSON form, parsed). */
export const RUNTIME_METHODS = [
  "version",
  "status",
  "runPodSandbox",
  "stopPodSandbox",
  "removePodSandbox",
  "podSandboxStatus",
  "listPodSandbox",
  "createContainer",
  "startContainer",
  "stopContainer",
  "removeContainer",
  "listContainers",
  "containerStatus",
  "updateContainerResources",
  "reopenContainerLog",
  "containerStats",
  "listContainerStats",
  "execSync",
  "exec",
  "attach",
  "portForward",
  "pullImage",
  "imageStatus",
  "listImages",
  "removeImage",
  "imageFsInfo",
] as const;
export type RuntimeMethod = (typeof RUNTIME_METHODS)[number];
export type RuntimeHooks = Record<RuntimeMethod, (request: Record<string, unknown>) => object>;

export function defineRuntime(hooks: RuntimeHooks): Record<RuntimeMethod, (request: string) => string> {
  const wrapped = RUNTIME_METHODS.map((method) => [
    method,
    failing((request: string) => JSON.stringify(hooks[method](JSON.parse(request)))),
  ]);
  return Object.fromEntries(wrapped);
}

export interface NetworkHooks {
  /** Answers the CNI result. */
  add(attachment: Attachment): object;
  del(attachment: Attachment): void;
  check(attachment: Attachment): void;
  status(): void;
  gc(valid: [containerId: string, interfaceName: string][]): void;
}
export const defineNetwork = (hooks: NetworkHooks) => ({
  add: failing((attachment: Attachment) => JSON.stringify(hooks.add(attachment))),
  del: failing((attachment: Attachment) => hooks.del(attachment)),
  check: failing((attachment: Attachment) => hooks.check(attachment)),
  status: failing(() => hooks.status()),
  gc: failing((valid: [string, string][]) => hooks.gc(valid)),
});

export interface PermitHooks {
  /** The group's waiting pods and (last) the one that has come; a decision for each. */
  permit(group: string, placements: Placement[]): PermitDecision[];
  unreserve?(group: string, placement: Placement): void;
}
export const definePermit = (hooks: PermitHooks) => ({
  permit: failing((group: string, placements: Placement[]) => hooks.permit(group, placements)),
  unreserve: trapping((group: string, placement: Placement) => hooks.unreserve?.(group, placement)),
});

export interface OffersHooks {
  offer(tenant: string, offers: Room[]): OfferAnswer;
  rescind?(tenant: string, offers: string[]): void;
}
export const defineOffers = (hooks: OffersHooks) => ({
  offer: failing((tenant: string, offers: Room[]) => hooks.offer(tenant, offers)),
  rescind: trapping((tenant: string, offers: string[]) => hooks.rescind?.(tenant, offers)),
});

export interface PanelHooks {
  /** Answers the page (sdk/wit/v1/panel.wit). */
  render(query: PanelQuery): object;
  act?(query: PanelQuery, action: string, fields: Record<string, unknown>): string;
}
export const definePanel = (hooks: PanelHooks) => ({
  render: failing((query: PanelQuery) => JSON.stringify(hooks.render(query))),
  act: failing((query: PanelQuery, action: string, fields: string) =>
    (hooks.act ?? absent("act"))(query, action, JSON.parse(fields || "{}") as Record<string, unknown>),
  ),
});
