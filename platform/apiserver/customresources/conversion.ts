/** Conversion of custom resources by a webhook (apiextensions.k8s.io/v1 ConversionReview). */
import { randomUUID } from "node:crypto";
import type { TenantId } from "#platform/store/port.ts";
import { validateLabels } from "#sdk/api/labels.ts";
import type { DynamicObject, JsonObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import { validateAnnotations } from "../registry/meta.ts";
import type { StorageForm } from "../registry/strategy.ts";
import type { WebhookClient } from "../webhook/client.ts";
import type { Definition } from "./definition.ts";

const TIMEOUT_MS = 30_000;
const REVIEW_VERSIONS = ["v1", "v1beta1"];

interface Review {
  response?: {
    uid?: string;
    convertedObjects?: unknown[];
    result?: { status?: string; message?: string };
  };
}

const describe = ({ apiVersion = "", kind = "" }: DynamicObject): string => `${apiVersion}, Kind=${kind}`;

/** What the webhook may change of metadata is labels and annotations: the rest is the original's. */
function withOwnMetadata(original: DynamicObject, converted: DynamicObject): DynamicObject {
  const { labels: _l, annotations: _a, ...metadata } = original.metadata;
  const { labels, annotations } = converted.metadata;
  const causes = [
    ...validateLabels(labels, "metadata.labels"),
    ...validateAnnotations(annotations, "metadata.annotations"),
  ];
  if (causes[0]) throw new Error(`${causes[0].field}: ${causes[0].message}`);
  return {
    ...converted,
    metadata: { ...metadata, ...(labels ? { labels } : {}), ...(annotations ? { annotations } : {}) },
  };
}

function accepted(original: DynamicObject, sent: unknown, apiVersion: string): DynamicObject {
  const converted = sent as DynamicObject | null;
  if (typeof converted !== "object" || converted === null || typeof converted.metadata !== "object")
    throw new Error("missing metadata in converted object");
  if (converted.apiVersion !== apiVersion)
    throw new Error(`invalid groupVersion (expected ${apiVersion}, received ${converted.apiVersion})`);
  if (converted.kind !== original.kind)
    throw new Error(`invalid kind (expected ${original.kind}, received ${converted.kind})`);
  for (const [field, what] of [
    ["name", "name"],
    ["namespace", "namespace"],
    ["uid", "UID"],
  ] as const) {
    const [was, is] = [original.metadata[field] ?? "", converted.metadata[field] ?? ""];
    if (was !== is) throw new Error(`must have the same ${what}: ${was} != ${is}`);
  }
  return withOwnMetadata(original, converted);
}

/** Undefined where versions differ in their names only. */
export function conversionOf({ spec }: Definition, client: WebhookClient | undefined): StorageForm["convert"] {
  const { strategy, webhook } = spec.conversion ?? {};
  const config = webhook?.clientConfig;
  if (strategy !== "Webhook" || !config || !client) return undefined;
  const version = webhook.conversionReviewVersions.find((v) => REVIEW_VERSIONS.includes(v)) ?? "v1";
  return async (tenant: TenantId, objects: readonly DynamicObject[], apiVersion: string): Promise<DynamicObject[]> => {
    const [first] = objects;
    if (!first) return [];
    const failed = (why: string) => new StatusError(500, "", `conversion webhook for ${describe(first)} ${why}`);
    const uid = randomUUID();
    const request = { uid, desiredAPIVersion: apiVersion, objects } as unknown as JsonObject;
    const body = { apiVersion: `apiextensions.k8s.io/${version}`, kind: "ConversionReview", request };
    let review: Review;
    try {
      review = (await client({ tenant, config, body, timeoutMs: TIMEOUT_MS })) as Review;
    } catch (error) {
      throw failed(`failed: ${error instanceof Error ? error.message : String(error)}`);
    }
    const { response } = review;
    if (!response) throw failed("failed: no response provided");
    if (response.uid !== uid) throw failed(`failed: expected response.uid=${JSON.stringify(uid)}`);
    if (response.result?.status !== "Success")
      throw failed(`failed: ${response.result?.message || "no result.status provided"}`);
    const converted = response.convertedObjects ?? [];
    if (converted.length !== objects.length)
      throw failed(`returned ${converted.length} objects, expected ${objects.length}`);
    return objects.map((original, i) => {
      try {
        return accepted(original, converted[i], apiVersion);
      } catch (error) {
        throw failed(`returned invalid converted object at index ${i}: ${(error as Error).message}`);
      }
    });
  };
}
