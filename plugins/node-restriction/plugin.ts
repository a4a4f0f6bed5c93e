import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { defineAdmission } from "#sdk/plugin/define.ts";
import { deny } from "#sdk/plugin/failure.ts";
import { refusal, type Seen } from "./restriction.ts";

const seen = (document: string): Seen | undefined => (document === "" ? undefined : (JSON.parse(document) as Seen));

export const admission = defineAdmission({
  validate(review) {
    const { pods, nodes } = JSON.parse(review.context) as { pods?: Pod[]; nodes?: Node[] };
    const why = refusal({
      user: (JSON.parse(review.user) as { name: string }).name,
      operation: review.operation,
      resource: review.resource,
      subresource: review.subresource,
      namespace: review.namespace,
      name: review.name,
      object: seen(review.object),
      before: seen(review.oldObject),
      pod: pods?.[0],
      node: nodes?.[0],
    });
    if (why !== undefined) throw deny(why);
    return [];
  },
});
