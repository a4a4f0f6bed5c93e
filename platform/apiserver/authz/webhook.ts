/**
 * An authorizer beyond the network: asked by SubjectAccessReview, its answers hold for a time. Expressions choose what it is asked. It knows root's
 * users only: those of other tenants are judged by their tenant.
 */
import { z } from "zod";
import { type Log, messageOf } from "#platform/base/log.ts";
import {
  CelEnvironment,
  type CelType,
  fromJson,
  listOf,
  mapOf,
  objectType,
  type Program,
  STRING,
} from "#platform/rules/cel/index.ts";
import { ROOT_TENANT } from "#platform/store/port.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import { Answers } from "../webhook/answers.ts";
import { ask, type Remote } from "../webhook/remote.ts";
import { accessReviewSpec } from "./access-review.ts";
import { type Authorizer, type Decision, noRules } from "./authorizer.ts";

export interface WebhookSpec {
  name: string;
  version: "v1" | "v1beta1";
  timeoutMs: number;
  /** 0: not remembered. */
  authorizedMs: number;
  unauthorizedMs: number;
  failurePolicy: "NoOpinion" | "Deny";
  /** Sources. All must hold for the webhook to be asked. */
  matchConditions: string[];
}

const answer = z.object({
  status: z
    .object({ allowed: z.boolean().default(false), denied: z.boolean().default(false), reason: z.string().default("") })
    .default({ allowed: false, denied: false, reason: "" }),
});
type Status = z.infer<typeof answer>["status"];

const ANSWERS_MAX = 8_192;
/** Who asks for ever other things must not fill the table with them. */
const REMEMBERED_LENGTH_MAX = 10_000;

const requirement = objectType("Requirement", { key: STRING, operator: STRING, values: listOf(STRING) });
const selector = objectType("Selector", { rawSelector: STRING, requirements: listOf(requirement) });
const requestType: CelType = objectType("kubernetes.SubjectAccessReviewSpec", {
  resourceAttributes: objectType("kubernetes.ResourceAttributes", {
    namespace: STRING,
    verb: STRING,
    group: STRING,
    version: STRING,
    resource: STRING,
    subresource: STRING,
    name: STRING,
    fieldSelector: selector,
    labelSelector: selector,
  }),
  nonResourceAttributes: objectType("kubernetes.NonResourceAttributes", { path: STRING, verb: STRING }),
  user: STRING,
  groups: listOf(STRING),
  extra: mapOf(STRING, listOf(STRING)),
  uid: STRING,
});
const environment = new CelEnvironment({ variables: { request: requestType } });

/** Throws Error with the compiler's words. */
export function compileMatchCondition(source: string): Program {
  const result = environment.compile(source, ["bool"]);
  if (result.ok) return result.program;
  throw new Error(result.error.startsWith("must evaluate") ? result.error : `compilation failed: ${result.error}`);
}

/** Errors are known only after all were looked at: one that is false decides. */
function holds(conditions: readonly Program[], spec: JsonObject): boolean {
  const errors: string[] = [];
  // Without the type: its field `namespace` is no name that typed values may have.
  const request = fromJson(spec);
  for (const condition of conditions) {
    try {
      if (condition.evaluate({ request }).value !== true) return false;
    } catch (error) {
      errors.push(messageOf(error));
    }
  }
  if (errors.length > 0) throw new Error(errors.join("; "));
  return true;
}

export function webhookAuthorizer(spec: WebhookSpec, remote: Remote, log: Log, now: () => number): Authorizer {
  const conditions = spec.matchConditions.map(compileMatchCondition);
  const answers = new Answers<Status>(ANSWERS_MAX);

  async function review(asked: JsonObject): Promise<Status> {
    const { groups = null, ...rest } = asked;
    const body = {
      kind: "SubjectAccessReview",
      apiVersion: `authorization.k8s.io/${spec.version}`,
      metadata: { creationTimestamp: null },
      // The beta called it by another name.
      spec: spec.version === "v1beta1" ? { ...rest, group: groups } : asked,
      status: { allowed: false },
    };
    return answer.parse(await ask(remote, { method: "POST", body, timeoutMs: spec.timeoutMs })).status;
  }

  const failed = (error: unknown): Decision => {
    const decision = spec.failurePolicy === "Deny" ? "deny" : "noOpinion";
    return { decision, reason: "", error: messageOf(error) };
  };

  return {
    rulesFor: () => noRules("webhook authorizer does not support user rule resolution"),
    async authorize(a): Promise<Decision> {
      if (a.user.tenant !== ROOT_TENANT) return { decision: "noOpinion", reason: "" };
      const asked = accessReviewSpec(a);
      try {
        if (!holds(conditions, asked)) return { decision: "noOpinion", reason: "" };
        const name = JSON.stringify(asked);
        const ttl = ({ allowed }: Status) =>
          name.length > REMEMBERED_LENGTH_MAX ? 0 : allowed ? spec.authorizedMs : spec.unauthorizedMs;
        return decisionOf(await answers.get(name, now(), () => review(asked), ttl));
      } catch (error) {
        log.error("an authorization webhook fails", { webhook: spec.name, error: messageOf(error) });
        return failed(error);
      }
    },
  };
}

function decisionOf({ allowed, denied, reason }: Status): Decision {
  if (allowed && denied)
    return { decision: "deny", reason, error: "webhook subject access review returned both allow and deny response" };
  return { decision: denied ? "deny" : allowed ? "allow" : "noOpinion", reason };
}
