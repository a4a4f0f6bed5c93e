/** AdmissionReview, v1: the question a webhook is asked and what its answer may be (apiserver's admission/plugin/webhook/request). */
import { randomUUID } from "node:crypto";
import { z } from "zod";
import type { DynamicObject, Json, JsonObject } from "#sdk/api/object.ts";
import { type Status, StatusError } from "#sdk/api/status.ts";
import type { AdmissionAttributes } from "../../registry/admission.ts";
import { namespaceOf, type ServedVersion } from "../match.ts";

const OPTIONS_KIND = { CREATE: "CreateOptions", UPDATE: "UpdateOptions", DELETE: "DeleteOptions" } as const;

export interface ReviewQuestion {
  uid: string;
  body: JsonObject;
}

/** `object` and `oldObject` in the version that the webhook asked for. */
export function admissionReview(
  a: AdmissionAttributes,
  version: ServedVersion,
  reviewVersion: "v1" | "v1beta1",
  object: DynamicObject | undefined,
  oldObject: DynamicObject | undefined,
): ReviewQuestion {
  const uid = randomUUID();
  return {
    uid,
    body: {
      kind: "AdmissionReview",
      apiVersion: `admission.k8s.io/${reviewVersion}`,
      request: admissionRequest(a, version, uid, object, oldObject),
    },
  };
}

/** The request as webhooks get it and expressions see it. */
export function admissionRequest(
  a: AdmissionAttributes,
  version: ServedVersion,
  uid: string,
  object: DynamicObject | undefined,
  oldObject: DynamicObject | undefined,
): JsonObject {
  const namespace = namespaceOf(a);
  const { user } = a;
  return {
    uid,
    kind: { ...version.kind },
    resource: { ...version.resource },
    ...(a.subresource ? { subResource: a.subresource } : {}),
    requestKind: { ...a.kind },
    requestResource: { ...a.resource },
    ...(a.subresource ? { requestSubResource: a.subresource } : {}),
    ...(a.name ? { name: a.name } : {}),
    ...(namespace ? { namespace } : {}),
    operation: a.operation,
    userInfo: {
      username: user.name,
      ...(user.uid ? { uid: user.uid } : {}),
      groups: [...user.groups],
      ...(user.extra ? { extra: structuredClone(user.extra) as JsonObject } : {}),
    },
    object: (object ?? null) as Json,
    oldObject: (oldObject ?? null) as Json,
    dryRun: a.dryRun,
    options: optionsOf(a),
  };
}

function optionsOf({ operation, dryRun }: AdmissionAttributes): Json {
  if (operation === "CONNECT") return null;
  return {
    kind: OPTIONS_KIND[operation],
    apiVersion: "meta.k8s.io/v1",
    ...(dryRun ? { dryRun: ["All"] } : {}),
  };
}

const responseSchema = z.object({
  kind: z.string().optional(),
  apiVersion: z.string().optional(),
  response: z
    .object({
      uid: z.string().default(""),
      allowed: z.boolean().default(false),
      status: z
        .object({
          status: z.string().optional(),
          message: z.string().optional(),
          reason: z.string().optional(),
          code: z.number().optional(),
          details: z.record(z.string(), z.unknown()).nullish(),
        })
        .nullish(),
      patch: z.string().nullish(),
      patchType: z.string().nullish(),
      auditAnnotations: z.record(z.string(), z.string()).nullish(),
      warnings: z.array(z.string()).nullish(),
    })
    .nullish(),
});

export interface ReviewAnswer {
  allowed: boolean;
  status: NonNullable<z.infer<typeof responseSchema>["response"]>["status"];
  /** JSON text of the patch; "" for none. */
  patch: string;
  patchType: string;
  auditAnnotations: Record<string, string>;
  warnings: string[];
}

/** Throws Error with upstream's words for an answer that is none. */
export function readAnswer(answer: unknown, uid: string, version: "v1" | "v1beta1", mutating: boolean): ReviewAnswer {
  const parsed = responseSchema.safeParse(answer);
  if (!parsed.success) {
    const issue = parsed.error.issues[0];
    throw new Error(`webhook response could not be read: ${issue?.path.join(".")}: ${issue?.message}`);
  }
  const { response } = parsed.data;
  if (!response) throw new Error("webhook response was absent");
  const { patch, patchType } = response;
  if (version === "v1") {
    if (response.uid !== uid)
      throw new Error(`expected response.uid=${JSON.stringify(uid)}, got ${JSON.stringify(response.uid)}`);
    const { kind = "", apiVersion = "" } = parsed.data;
    if (kind !== "AdmissionReview" || apiVersion !== "admission.k8s.io/v1")
      throw new Error(
        `expected webhook response of admission.k8s.io/v1, Kind=AdmissionReview, got ${apiVersion}, Kind=${kind}`,
      );
    checkPatch(patch, patchType, mutating);
  }
  return {
    allowed: response.allowed,
    status: response.status,
    patch: mutating && patch ? Buffer.from(patch, "base64").toString("utf8") : "",
    patchType: patchType ?? "JSONPatch",
    auditAnnotations: response.auditAnnotations ?? {},
    warnings: response.warnings ?? [],
  };
}

function checkPatch(patch: string | null | undefined, type: string | null | undefined, mutating: boolean): void {
  const typed = type !== undefined && type !== null;
  if (!mutating) {
    if (patch) throw new Error("validating webhook may not return response.patch");
    if (typed) throw new Error("validating webhook may not return response.patchType");
    return;
  }
  if (patch && !typed) throw new Error("webhook returned response.patch but not response.patchType");
  if (!patch && typed) throw new Error("webhook returned response.patchType but not response.patch");
  if (typed && type === "") throw new Error(`webhook returned invalid response.patchType of ""`);
}

/** A webhook's refusal as the API's user sees it: what the webhook said, under its name. */
export function rejection(webhook: string, status: ReviewAnswer["status"]): StatusError {
  const denied = `admission webhook ${JSON.stringify(webhook)} denied the request`;
  const code = status?.code && status.code >= 400 ? status.code : 400;
  const why = status?.message || status?.reason;
  const message = why ? `${denied}: ${why}` : `${denied} without explanation`;
  const details = (status?.details ?? undefined) as Status["details"];
  return new StatusError(code, status?.reason ?? "", message, details);
}
