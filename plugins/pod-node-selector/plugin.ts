import type { Namespace, Pod } from "#sdk/api/generated/types.ts";
import { readConfig } from "#sdk/plugin/config.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { deny } from "#sdk/plugin/failure.ts";
import type { Review } from "#sdk/plugin/types.ts";
import { Rejected, type Selector, selectorFor } from "./selectors.ts";

function wantedBy(review: Review): { own: Selector; wanted: Selector } {
  const { namespaces } = JSON.parse(review.context) as { namespaces: Namespace[] };
  const own = (JSON.parse(review.object) as Pod).spec?.nodeSelector ?? {};
  const namespace = { name: review.namespace, annotations: namespaces[0]?.metadata.annotations ?? {} };
  try {
    return { own, wanted: selectorFor(own, namespace, readConfig<Record<string, string>>()) };
  } catch (error) {
    throw error instanceof Rejected ? deny(error.message) : error;
  }
}

export const admission = defineAdmission({
  mutate(review) {
    const { own, wanted } = wantedBy(review);
    const isSame = Object.keys(wanted).length === Object.keys(own).length;
    const patch = isSame ? [] : [{ op: "add", path: "/spec/nodeSelector", value: wanted }];
    return { patch: patch.length > 0 ? JSON.stringify(patch) : "", warnings: [] };
  },
  validate(review) {
    wantedBy(review);
    return [];
  },
});
