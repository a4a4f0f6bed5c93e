/**
 * The condition Dangling of FlowSchemas: whether the priority level that one names is there. Written by whichever API server sees a change, in the
 * owner's name of upstream's; any number of them write the same. Nothing is kept: each step reads what is stored.
 */
import { type Clock, timeText } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Change, Store, StoredObject, TenantId } from "#platform/store/port.ts";
import type { TenantDirectory } from "#platform/store/tenants.ts";
import type { FlowSchema } from "#sdk/api/generated/types.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import { systemContext } from "../bootstrap.ts";
import type { Patcher } from "../registry/ports.ts";
import type { Registry } from "../registry/registry.ts";
import { followed } from "./follow.ts";

const GROUP = "flowcontrol.apiserver.k8s.io";
const SCHEMAS = `flowschemas.${GROUP}`;
const LEVELS = `prioritylevelconfigurations.${GROUP}`;
const MANAGER = "api-priority-and-fairness-config-consumer-v1";

export interface ConditionParts {
  store: Store;
  registry: () => Registry;
  patcher: Patcher;
  tenants: TenantDirectory;
  clock: Clock;
  log: Log;
}

const parsed = ({ document }: StoredObject): FlowSchema => JSON.parse(document) as FlowSchema;
const levelOf = ({ spec }: FlowSchema): string => spec?.priorityLevelConfiguration?.name ?? "";

/** What is to be said of a schema, without the time. */
export function danglingCondition(level: string, found: boolean) {
  const named = `This FlowSchema references the PriorityLevelConfiguration object named ${JSON.stringify(level)}`;
  return found
    ? { type: "Dangling", status: "False", reason: "Found", message: `${named} and it exists` }
    : { type: "Dangling", status: "True", reason: "NotFound", message: `${named} but there is no such object` };
}

const isSaid = ({ status }: FlowSchema, wanted: ReturnType<typeof danglingCondition>): boolean =>
  (status?.conditions ?? []).some(
    ({ type, status: is, reason, message }) =>
      type === wanted.type && is === wanted.status && reason === wanted.reason && message === wanted.message,
  );

export class FlowConditions {
  readonly #parts: ConditionParts;

  constructor(parts: ConditionParts) {
    this.#parts = parts;
  }

  /** Until the signal aborts; the schemas of all tenants are judged at first. */
  start(signal: AbortSignal): void {
    const { store, log } = this.#parts;
    const all = (resource: string) => ({ scope: { tenant: "*", resource } as const, store, log, signal });
    void followed(all(SCHEMAS), (changes) => this.#schemasChanged(changes));
    void followed(all(LEVELS), (changes) => this.#levelsChanged(changes));
  }

  async #schemasChanged(changes: readonly Change[]): Promise<void> {
    await Promise.all(changes.map(({ type, object }) => (type === "deleted" ? undefined : this.#judge(object))));
  }

  async #levelsChanged(changes: readonly Change[]): Promise<void> {
    const names = new Map<TenantId, Set<string>>();
    for (const { type, object } of changes) {
      if (type === "modified") continue;
      const { tenant, name } = object.key;
      names.set(tenant, (names.get(tenant) ?? new Set()).add(name));
    }
    for (const [tenant, levels] of names) {
      const scope = { tenant, resource: SCHEMAS };
      const { objects } = await this.#parts.store.list({ scope, freshness: { type: "atLeast", revision: 0 } });
      await Promise.all(objects.filter((o) => levels.has(levelOf(parsed(o)))).map((o) => this.#judge(o)));
    }
  }

  async #judge(stored: StoredObject): Promise<void> {
    const { tenant, name } = stored.key;
    const schema = parsed(stored);
    const level = levelOf(schema);
    try {
      const key = { tenant, resource: LEVELS, namespace: "", name: level };
      const found = (await this.#parts.store.get(key, { type: "atLeast", revision: stored.revision })) !== undefined;
      const wanted = danglingCondition(level, found);
      if (!isSaid(schema, wanted)) await this.#write(tenant, name, wanted);
    } catch (error) {
      if (error instanceof StatusError && error.code === 404) return;
      this.#parts.log.warn("a flow schema's condition could not be written", { tenant, name, error: messageOf(error) });
    }
  }

  async #write(tenant: TenantId, name: string, wanted: ReturnType<typeof danglingCondition>): Promise<void> {
    const { registry, patcher, tenants, clock } = this.#parts;
    const entry = registry().catalog.byName(GROUP, "flowschemas");
    if (!entry) return;
    const { group, version, kind } = entry.facts;
    const now = clock.now();
    const applied = {
      apiVersion: `${group}/${version}`,
      kind,
      metadata: { name },
      status: { conditions: [{ ...wanted, lastTransitionTime: timeText(now) }] },
    } as unknown as DynamicObject;
    const how = { manager: MANAGER, force: true, subresource: "status", now };
    await registry().update(
      systemContext(tenant, tenants.byId(tenant)?.name ?? String(tenant), now),
      entry,
      {
        namespace: "",
        name,
        subresource: "status",
        retries: true,
        produce: (old) => patcher.apply({ group, version, kind }, old, structuredClone(applied), how),
      },
      { dryRun: false, fieldManager: MANAGER, keepsManagedFields: true },
    );
  }
}
