/** The strategy of kinds without rules of their own, and helpers for those that have some. */
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { nameIsDNSSubdomain } from "./names.ts";
import type { ResourceEntry, Strategy, ViewStrategy } from "./strategy.ts";

/** The status view: everything but status and the caller's bookkeeping in metadata stays as it was. */
export const statusView: ViewStrategy = {
  prepareForUpdate(next, old) {
    const { status } = next;
    for (const key of Object.keys(next))
      if (key !== "metadata" && key !== "kind" && key !== "apiVersion") delete next[key];
    for (const [key, value] of Object.entries(old)) {
      if (key !== "metadata" && key !== "status") next[key] = structuredClone(value);
    }
    if (status === undefined) delete next.status;
    else next.status = status;
  },
};

/** The kind that a refusal speaks of. */
export const toldKind = ({ facts, strategy }: ResourceEntry): { group: string; kind: string } => ({
  group: strategy.toldGroup ?? facts.group,
  kind: facts.kind,
});

export const hasStatusView = (facts: ResourceFacts): boolean =>
  facts.subresources.some((s) => s.name === "status" && s.kind === facts.kind);

/** Status is written through its own subresource: dropped on create, kept as it was on update. */
export function resetStatus(next: DynamicObject, old: DynamicObject | undefined): void {
  if (old?.status === undefined) delete next.status;
  else next.status = structuredClone(old.status);
}

export function genericStrategy(facts: ResourceFacts, own: Partial<Strategy> = {}): Strategy {
  return {
    validateName: nameIsDNSSubdomain,
    allowCreateOnUpdate: false,
    allowUnconditionalUpdate: true,
    generation: hasStatusView(facts),
    returnsDeletedObject: false,
    fieldNames: [],
    ...own,
    views: { ...(hasStatusView(facts) ? { status: statusView } : {}), ...own.views },
    actions: { ...own.actions },
  };
}
