import { readConfig } from "#sdk/plugin/config.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { deny } from "#sdk/plugin/failure.ts";
import type { Review } from "#sdk/plugin/types.ts";

interface Config {
  label: string;
  /** "": the label is not given, only asked for. */
  default?: string;
}

const labelsOf = (review: Review): Record<string, string> | undefined =>
  (JSON.parse(review.object) as { metadata?: { labels?: Record<string, string> } }).metadata?.labels;

export const admission = defineAdmission({
  mutate(review) {
    const { label, default: value } = readConfig<Config>();
    const labels = labelsOf(review);
    if (!value || labels?.[label]) return { patch: "", warnings: [] };
    const path = label.replaceAll("~", "~0").replaceAll("/", "~1");
    const operation = labels
      ? { op: "add", path: `/metadata/labels/${path}`, value }
      : { op: "add", path: "/metadata/labels", value: { [label]: value } };
    return { patch: JSON.stringify([operation]), warnings: [] };
  },
  validate(review) {
    const { label } = readConfig<Config>();
    if (!labelsOf(review)?.[label]) throw deny(`the label "${label}" is missing`);
    return [];
  },
});
