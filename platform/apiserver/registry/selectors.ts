/** Label and field selectors of list, watch and deletecollection. */
import type { Matcher } from "#platform/store/port.ts";
import { type FieldSelector, matchesFields, parseFieldSelector } from "#sdk/api/fields.ts";
import { type LabelRequirements, matchesLabels, parseLabelSelector } from "#sdk/api/labels.ts";
import { badRequest } from "#sdk/api/status.ts";

export interface Selection {
  labels: LabelRequirements;
  fields: FieldSelector;
}

/** Throws StatusError 400 with upstream's message. */
export function parseSelection(labels: string, fields: string): Selection {
  try {
    return { labels: parseLabelSelector(labels), fields: parseFieldSelector(fields) };
  } catch (error) {
    throw badRequest(error instanceof Error ? error.message : String(error));
  }
}

/** Undefined when everything matches. */
export function matcherOf({ labels, fields }: Selection): Matcher | undefined {
  if (labels.length === 0 && fields.length === 0) return undefined;
  return (object) => matchesFields(fields, object.fields) && matchesLabels(labels, object.labels);
}
