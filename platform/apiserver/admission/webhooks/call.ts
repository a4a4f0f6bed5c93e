/** One call of one webhook: what it is asked, and which failures its failure policy is about. */
import type { MutatingWebhook, ValidatingWebhook } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { badRequest } from "#sdk/api/status.ts";
import type { AdmissionAttributes } from "../../registry/admission.ts";
import type { WebhookClient } from "../../webhook/client.ts";
import { compileConditions, type NamedExpression } from "../expressions.ts";
import type { Matching, ServedVersion } from "../match.ts";
import { admissionReview, type ReviewAnswer, readAnswer, rejection } from "./review.ts";

/** The webhook could not be asked, or did not answer properly: its failure policy decides. */
export class WebhookCallFailed extends Error {
  constructor(webhook: string, why: string) {
    super(`failed calling webhook ${JSON.stringify(webhook)}: ${why}`);
  }
}

export interface Hook {
  /** Unique among all webhooks of a tenant. */
  id: string;
  configuration: string;
  webhook: MutatingWebhook | ValidatingWebhook;
  matching: Matching;
  conditions: readonly NamedExpression[];
}

const TIMEOUT_SECONDS = 10;

export const hooksOf = (configuration: DynamicObject): Hook[] =>
  ((configuration.webhooks ?? []) as (MutatingWebhook | ValidatingWebhook)[]).map((webhook, i) => ({
    id: `${configuration.metadata.name}/${webhook.name}/${i}`,
    configuration: configuration.metadata.name ?? "",
    webhook,
    matching: {
      rules: webhook.rules ?? [],
      matchPolicy: webhook.matchPolicy,
      namespaceSelector: webhook.namespaceSelector,
      objectSelector: webhook.objectSelector,
    },
    conditions: compileConditions(webhook.matchConditions),
  }));

function reviewVersion(webhook: MutatingWebhook | ValidatingWebhook): "v1" | "v1beta1" {
  for (const version of webhook.admissionReviewVersions) if (version === "v1" || version === "v1beta1") return version;
  const why = "webhook does not accept known AdmissionReview versions (v1, v1beta1)";
  throw new WebhookCallFailed(webhook.name, `could not create admission objects: ${why}`);
}

export interface CallInput {
  hook: Hook;
  attributes: AdmissionAttributes;
  version: ServedVersion;
  object: DynamicObject | undefined;
  oldObject: DynamicObject | undefined;
  mutating: boolean;
  client: WebhookClient;
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error));

/** Throws StatusError when the webhook refuses, WebhookCallFailed when it cannot be asked. */
export async function callHook(input: CallInput): Promise<ReviewAnswer> {
  const { hook, attributes: a, version, mutating, client } = input;
  const { webhook } = hook;
  if (a.dryRun && webhook.sideEffects !== "None" && webhook.sideEffects !== "NoneOnDryRun") {
    throw badRequest(`admission webhook ${JSON.stringify(webhook.name)} does not support dry run`);
  }
  const spoken = reviewVersion(webhook);
  const { uid, body } = admissionReview(a, version, spoken, input.object, input.oldObject);
  let raw: unknown;
  try {
    raw = await client({
      tenant: a.tenant,
      config: webhook.clientConfig,
      body,
      timeoutMs: (webhook.timeoutSeconds ?? TIMEOUT_SECONDS) * 1000,
      ...(a.signal ? { signal: a.signal } : {}),
    });
  } catch (error) {
    throw new WebhookCallFailed(webhook.name, `failed to call webhook: ${messageOf(error)}`);
  }
  let answer: ReviewAnswer;
  try {
    answer = readAnswer(raw, uid, spoken, mutating);
  } catch (error) {
    throw new WebhookCallFailed(webhook.name, `received invalid webhook response: ${messageOf(error)}`);
  }
  for (const [key, value] of Object.entries(answer.auditAnnotations)) a.annotate?.(`${webhook.name}/${key}`, value);
  for (const warning of answer.warnings) a.warn?.(warning);
  if (!answer.allowed) throw rejection(webhook.name, answer.status);
  return answer;
}
