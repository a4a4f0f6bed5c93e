/** What a StorageVersionMigration needs next (upstream: pkg/controller/storageversionmigrator): pure. */
import { timeText } from "#platform/base/clock.ts";
import type { Condition, CustomResourceDefinition, StorageVersionMigration } from "#sdk/api/generated/types.ts";
import { conditionOf, withCondition } from "../objects.ts";

/** How long a resource may be unknown: its definition may come after the migration. */
export const UNKNOWN_MS_MAX = 60_000;
const REASONS: Readonly<Record<"Running" | "Succeeded" | "Failed", string>> = {
  Running: "MigrationRunning",
  Succeeded: "StorageVersionMigrationSucceeded",
  Failed: "StorageVersionMigrationFailed",
};

export type Step =
  /** It has its turn: one at a time migrates a resource, the oldest first. */
  | "begin"
  /** Up to which version objects are to be written anew is not known yet. */
  | "mark"
  | "migrate"
  /** It is over, and no longer says that it runs. */
  | "end"
  | "nothing";

const isTrue = ({ status }: StorageVersionMigration, type: string): boolean =>
  conditionOf(status?.conditions, type)?.status === "True";
const isOver = (one: StorageVersionMigration): boolean => isTrue(one, "Succeeded") || isTrue(one, "Failed");

export const isAbout = (a: StorageVersionMigration, b: StorageVersionMigration): boolean =>
  a.spec?.resource?.resource === b.spec?.resource?.resource &&
  (a.spec?.resource?.group ?? "") === (b.spec?.resource?.group ?? "");

const comesBefore = (a: StorageVersionMigration, b: StorageVersionMigration): boolean => {
  const rank = ({ metadata }: StorageVersionMigration) => `${metadata.creationTimestamp} ${metadata.name}`;
  return rank(a) < rank(b);
};

/** `others`: all of the tenant; itself may be among them. */
export function stepFor(migration: StorageVersionMigration, others: readonly StorageVersionMigration[]): Step {
  const runs = isTrue(migration, "Running");
  if (isOver(migration)) return runs ? "end" : "nothing";
  if (runs) return migration.status?.resourceVersion ? "migrate" : "mark";
  const rivals = others.filter(
    (one) => one.metadata.uid !== migration.metadata.uid && !isOver(one) && isAbout(one, migration),
  );
  return rivals.some((one) => isTrue(one, "Running") || comesBefore(one, migration)) ? "nothing" : "begin";
}

type Status = NonNullable<StorageVersionMigration["status"]>;

export function statusWith(
  { status, metadata }: StorageVersionMigration,
  type: "Running" | "Succeeded" | "Failed",
  message: string,
  now: number,
  value: "True" | "False" = "True",
): Status {
  const ended = type === "Running" && value === "False";
  const condition: Condition = {
    type,
    status: value,
    reason: ended ? "MigrationCompleted" : REASONS[type],
    message,
    lastTransitionTime: timeText(now),
    ...(ended && metadata.generation ? { observedGeneration: metadata.generation } : {}),
  };
  return { ...status, conditions: withCondition(status?.conditions, condition) };
}

type Definition = NonNullable<CustomResourceDefinition["status"]>;
const MIGRATING = "StorageMigrating";

/** The status of a custom resource's definition while its objects are migrated. */
export function definitionRunning({ status, metadata }: CustomResourceDefinition, by: string, now: number): Definition {
  const condition = {
    type: MIGRATING,
    status: "True",
    reason: "MigrationRunning",
    message: `Migration ${by} is running`,
    lastTransitionTime: timeText(now),
    observedGeneration: metadata.generation ?? 0,
  };
  return { ...status, conditions: withCondition(status?.conditions, condition) };
}

/** … and afterwards: only the present storage version is stored any more, unless the definition changed meanwhile. */
export function definitionDone(definition: CustomResourceDefinition, succeeded: boolean, now: number): Definition {
  const { status, spec, metadata } = definition;
  const before = conditionOf(status?.conditions, MIGRATING);
  const isSame = before?.observedGeneration === metadata.generation;
  const stored = spec?.versions?.find(({ storage }) => storage)?.name;
  const outcome = isSame
    ? " and the stored versions have been updated"
    : " but the stored versions have not been updated due to a generation mismatch";
  const condition = {
    type: MIGRATING,
    status: "False",
    reason: succeeded ? "MigrationSucceeded" : "MigrationFailed",
    message: succeeded ? `The migration has succeeded${outcome}` : "The migration has failed",
    lastTransitionTime: timeText(now),
    observedGeneration: metadata.generation ?? 0,
  };
  const storedVersions = succeeded && isSame && stored ? { storedVersions: [stored] } : {};
  return { ...status, ...storedVersions, conditions: withCondition(status?.conditions, condition) };
}
