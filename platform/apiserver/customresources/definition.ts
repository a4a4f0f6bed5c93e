/** CustomResourceDefinition as this server reads it; what is stored has been validated. */

import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import type { KubeObject } from "#sdk/api/object.ts";

export interface PrinterColumn {
  name: string;
  type: string;
  format?: string;
  description?: string;
  priority?: number;
  jsonPath: string;
}

export interface DefinitionVersion {
  name: string;
  served: boolean;
  storage: boolean;
  deprecated?: boolean;
  deprecationWarning?: string;
  schema?: { openAPIV3Schema?: StructuralSchema };
  subresources?: {
    status?: object;
    scale?: { specReplicasPath: string; statusReplicasPath: string; labelSelectorPath?: string };
  };
  additionalPrinterColumns?: PrinterColumn[];
  selectableFields?: { jsonPath: string }[];
}

export interface DefinitionNames {
  plural: string;
  singular?: string;
  kind: string;
  listKind?: string;
  shortNames?: string[];
  categories?: string[];
}

export interface DefinitionCondition {
  type: string;
  status: "True" | "False" | "Unknown";
  lastTransitionTime?: string;
  reason?: string;
  message?: string;
  observedGeneration?: number;
}

export interface WebhookClient {
  url?: string;
  service?: { namespace: string; name: string; path?: string; port?: number };
  caBundle?: string;
}

export interface Definition extends KubeObject {
  spec: {
    group: string;
    names: DefinitionNames;
    scope: "Namespaced" | "Cluster";
    versions: DefinitionVersion[];
    conversion?: {
      strategy: "None" | "Webhook";
      webhook?: { clientConfig?: WebhookClient; conversionReviewVersions: string[] };
    };
    preserveUnknownFields?: boolean;
  };
  status?: { conditions?: DefinitionCondition[] | null; acceptedNames?: DefinitionNames; storedVersions?: string[] };
}

export const CLEANUP_FINALIZER = "customresourcecleanup.apiextensions.k8s.io";

export const conditionOf = (d: Definition, type: string): DefinitionCondition | undefined =>
  d.status?.conditions?.find((c) => c.type === type);
export const holds = (d: Definition, type: string): boolean => conditionOf(d, type)?.status === "True";

/** Replaces the condition of that type; the time moves only with the status. Answers whether anything changed. */
export function setCondition(d: Definition, next: DefinitionCondition): boolean {
  d.status ??= {};
  const conditions = d.status.conditions ?? [];
  d.status.conditions = conditions;
  const at = conditions.findIndex((c) => c.type === next.type);
  const old = conditions[at];
  if (!old) {
    conditions.push(next);
    return true;
  }
  const same = old.status === next.status && old.reason === next.reason && old.message === next.message;
  if (same) return false;
  conditions[at] = old.status === next.status ? { ...next, lastTransitionTime: old.lastTransitionTime } : next;
  return true;
}

/** "v2" before "v1" before "v2beta1" before "v1alpha1" before anything else (apimachinery's version priority). */
export function compareVersions(a: string, b: string): number {
  const parts = (text: string) => {
    const match = /^v(\d+)(?:(alpha|beta)(\d+))?$/.exec(text);
    return match
      ? [match[2] === "alpha" ? 1 : match[2] === "beta" ? 2 : 3, Number(match[1]), Number(match[3] ?? 0)]
      : [0];
  };
  const [x, y] = [parts(a), parts(b)];
  for (let i = 0; i < 3; i++) if ((x[i] ?? 0) !== (y[i] ?? 0)) return (y[i] ?? 0) - (x[i] ?? 0);
  return a < b ? -1 : a > b ? 1 : 0;
}
