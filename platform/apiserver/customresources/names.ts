/** Which of a definition's names are free in its group, and the two conditions that follow. */
import { type Definition, type DefinitionNames, holds, setCondition } from "./definition.ts";

/** Names that others of the group hold, resources and kinds apart. */
function taken(definition: Definition, others: readonly Definition[]): { resources: Set<string>; kinds: Set<string> } {
  const resources = new Set<string>();
  const kinds = new Set<string>();
  for (const other of others) {
    if (other.spec.group !== definition.spec.group || other.metadata.uid === definition.metadata.uid) continue;
    const names = other.status?.acceptedNames;
    if (!names) continue;
    for (const name of [names.plural, names.singular, ...(names.shortNames ?? [])]) if (name) resources.add(name);
    for (const name of [names.kind, names.listKind]) if (name) kinds.add(name);
  }
  return { resources, kinds };
}

/** Sets acceptedNames and conditions in place; answers whether anything changed. `now` is RFC 3339. */
export function acceptNames(definition: Definition, others: readonly Definition[], now: string): boolean {
  const { spec } = definition;
  const used = taken(definition, others);
  definition.status ??= {};
  const accepted: DefinitionNames = { ...(definition.status.acceptedNames ?? { plural: "", kind: "" }) };
  let conflict: { reason: string; message: string } | undefined;
  const claim = (free: boolean, reason: string, text: string, accept: () => void) => {
    if (free) accept();
    else conflict = { reason, message: text };
  };
  const resource = (name: string | undefined, reason: string, accept: () => void) =>
    claim(!name || !used.resources.has(name), reason, `${JSON.stringify(name)} is already in use`, accept);
  const kind = (name: string | undefined, reason: string, accept: () => void) =>
    claim(!name || !used.kinds.has(name), reason, `${JSON.stringify(name)} is already in use`, accept);
  const { names } = spec;
  resource(names.plural, "PluralConflict", () => {
    accepted.plural = names.plural;
  });
  resource(names.singular, "SingularConflict", () =>
    Object.assign(accepted, names.singular ? { singular: names.singular } : {}),
  );
  const refused = (names.shortNames ?? []).filter((n) => used.resources.has(n));
  claim(
    refused.length === 0,
    "ShortNamesConflict",
    refused.map((n) => `${JSON.stringify(n)} is already in use`).join(", "),
    () => {
      if (names.shortNames) accepted.shortNames = names.shortNames;
      else delete accepted.shortNames;
    },
  );
  kind(names.kind, "KindConflict", () => {
    accepted.kind = names.kind;
  });
  kind(names.listKind, "ListKindConflict", () =>
    Object.assign(accepted, names.listKind ? { listKind: names.listKind } : {}),
  );
  if (names.categories) accepted.categories = names.categories;
  else delete accepted.categories;
  const before = JSON.stringify([definition.status.acceptedNames, definition.status.conditions]);
  definition.status.acceptedNames = accepted;
  setCondition(
    definition,
    conflict
      ? { type: "NamesAccepted", status: "False", lastTransitionTime: now, ...conflict }
      : {
          type: "NamesAccepted",
          status: "True",
          lastTransitionTime: now,
          reason: "NoConflicts",
          message: "no conflicts found",
        },
  );
  if (!holds(definition, "Established")) {
    setCondition(
      definition,
      conflict
        ? {
            type: "Established",
            status: "False",
            lastTransitionTime: now,
            reason: "NotAccepted",
            message: "not all names are accepted",
          }
        : {
            type: "Established",
            status: "True",
            lastTransitionTime: now,
            reason: "InitialNamesAccepted",
            message: "the initial names have been accepted",
          },
    );
  }
  return before !== JSON.stringify([definition.status.acceptedNames, definition.status.conditions]);
}
