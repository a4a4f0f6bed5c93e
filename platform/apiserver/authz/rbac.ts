/**
 * RBAC: an index of roles and bindings of all tenants, kept by watching the store; each tenant's rules hold in that tenant only.
 * A user of root in another tenant is judged by that tenant's rules for the same name and groups, after root allowed the crossing.
 */
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { ALL_TENANTS, ROOT_TENANT, type Store, type StoredObject, type TenantId } from "#platform/store/port.ts";
import { PLUGIN_USER_PREFIX } from "#sdk/api/object.ts";
import type { UserInfo } from "../registry/admission.ts";
import type { AuthorizationAttributes, Authorizer, Decision, SubjectRules } from "./authorizer.ts";
import { type PolicyRule, type RuleRequest, ruleAllows, type Subject, subjectIs } from "./rules.ts";

export const RBAC_GROUP = "rbac.authorization.k8s.io";
const RESOURCES = ["roles", "rolebindings", "clusterroles", "clusterrolebindings"] as const;
type Resource = (typeof RESOURCES)[number];
const RETRY_MS = 500;
/** Groups of root's certificates for the platform's own processes. */
export const LOOP_GROUPS = ["capstan:controllers", "capstan:scheduler"] as const;

/** Never changed: tenants share it. */
interface Entry {
  /** In its index. */
  key: string;
  namespace: string;
  name: string;
  rules: PolicyRule[];
  subjects: Subject[];
  roleRef?: { kind: string; name: string };
}

type TenantIndex = Record<Resource, Map<string, Entry>>;

const emptyIndex = (): TenantIndex => ({
  roles: new Map(),
  rolebindings: new Map(),
  clusterroles: new Map(),
  clusterrolebindings: new Map(),
});

/** Entries that are equal are one: ten thousand tenants have the same default roles. Bounded; beyond that the table is begun anew. */
const entries = new Map<string, Entry>();
const ENTRIES_MAX = 20_000;

function entryOf(stored: StoredObject): Entry {
  const object = JSON.parse(stored.document) as Partial<Entry>;
  const { namespace, name } = stored.key;
  const entry: Entry = {
    key: `${namespace}/${name}`,
    namespace,
    name,
    rules: object.rules ?? [],
    subjects: object.subjects ?? [],
    ...(object.roleRef ? { roleRef: object.roleRef } : {}),
  };
  const text = JSON.stringify(entry);
  const known = entries.get(text);
  if (known) return known;
  if (entries.size >= ENTRIES_MAX) entries.clear();
  entries.set(text, entry);
  return entry;
}

type Judged = Pick<UserInfo, "name" | "groups"> & Partial<Pick<UserInfo, "tenant">>;

/**
 * Who acts in every tenant by root's roles alone, as root knows them: plugins by name (their groups are the tenant's when they are acted as), the
 * platform's loops by their groups. A tenant's own roles neither widen nor break what they do.
 */
function knownToRoot({ tenant, name, groups }: Judged): Judged | undefined {
  if (name.startsWith(PLUGIN_USER_PREFIX)) return { name, groups: [] };
  const loop = tenant === ROOT_TENANT && LOOP_GROUPS.some((group) => groups.includes(group));
  return loop ? { tenant, name, groups } : undefined;
}

export class Rbac implements Authorizer {
  readonly #store: Store;
  readonly #log: Log;
  readonly #tenants = new Map<TenantId, TenantIndex>();

  constructor(store: Store, log: Log) {
    this.#store = store;
    this.#log = log;
  }

  /** Resolves when every role and binding there is has been read; then follows the changes until the signal aborts. */
  async start(signal: AbortSignal): Promise<void> {
    await Promise.all(
      RESOURCES.map(
        (resource) => new Promise<void>((synced, failed) => void this.#follow(resource, signal, synced).catch(failed)),
      ),
    );
  }

  async #follow(resource: Resource, signal: AbortSignal, synced: () => void): Promise<void> {
    const scope = { tenant: ALL_TENANTS, resource: `${resource}.${RBAC_GROUP}` };
    while (!signal.aborted) {
      try {
        const seen = new Set<string>();
        let initial = true;
        for await (const events of this.#store.watch({ scope, after: 0, initial: true, bookmarks: true, signal })) {
          for (const event of events) {
            if (event.type === "bookmark") {
              if (!event.initialEnd) continue;
              this.#forget(resource, seen);
              initial = false;
              synced();
            } else {
              if (initial) seen.add(keyText(event.change.object));
              this.#put(resource, event.change.object, event.change.type === "deleted");
            }
          }
        }
      } catch (error) {
        this.#log.warn("watching RBAC objects failed, starting again", { resource, error: messageOf(error) });
        await delay(RETRY_MS, signal);
      }
    }
  }

  #put(resource: Resource, stored: StoredObject, deleted: boolean): void {
    const { tenant, namespace, name } = stored.key;
    let index = this.#tenants.get(tenant);
    if (!index) {
      index = emptyIndex();
      this.#tenants.set(tenant, index);
    }
    if (deleted) {
      index[resource].delete(`${namespace}/${name}`);
      return;
    }
    const entry = entryOf(stored);
    index[resource].set(entry.key, entry);
  }

  /** After a new start: what was there before and is no more. */
  #forget(resource: Resource, seen: ReadonlySet<string>): void {
    for (const [tenant, index] of this.#tenants) {
      for (const key of index[resource].keys()) if (!seen.has(`${tenant}/${key}`)) index[resource].delete(key);
    }
  }

  /** The rules of a role that a binding names; undefined when the role is absent. */
  rulesOf(tenant: TenantId, ref: { kind: string; name: string }, namespace: string): PolicyRule[] | undefined {
    const index = this.#tenants.get(tenant);
    if (ref.kind === "ClusterRole") return index?.clusterroles.get(`/${ref.name}`)?.rules;
    return index?.roles.get(`${namespace}/${ref.name}`)?.rules;
  }

  /** Every rule that holds for the user in the namespace ("" for the cluster only). */
  heldRules(tenant: TenantId, user: Judged, namespace: string): PolicyRule[] {
    const rules: PolicyRule[] = [];
    this.#visit(tenant, user, namespace, (found) => {
      rules.push(...found);
      return false;
    });
    return rules;
  }

  rulesFor(tenant: TenantId, user: UserInfo, namespace: string): SubjectRules {
    const rules = this.heldRules(tenant, user, namespace);
    return {
      resourceRules: rules.filter((r) => r.resources?.length).map(({ nonResourceURLs: _, ...rule }) => rule),
      nonResourceRules: rules
        .filter((r) => r.nonResourceURLs?.length)
        .map(({ verbs = [], nonResourceURLs = [] }) => ({ verbs, nonResourceURLs })),
    };
  }

  #visit(
    tenant: TenantId,
    user: Judged,
    namespace: string,
    done: (rules: PolicyRule[], binding: Entry) => boolean,
  ): boolean {
    if (tenant !== ROOT_TENANT) {
      const asRoot = knownToRoot(user);
      if (asRoot) return this.#visit(ROOT_TENANT, asRoot, namespace, done);
    }
    const index = this.#tenants.get(tenant);
    if (!index) return false;
    for (const binding of index.clusterrolebindings.values()) {
      if (!binding.roleRef || !binding.subjects.some((s) => subjectIs(s, user, ""))) continue;
      if (done(this.rulesOf(tenant, binding.roleRef, "") ?? [], binding)) return true;
    }
    if (namespace === "") return false;
    for (const binding of index.rolebindings.values()) {
      if (binding.namespace !== namespace || !binding.roleRef) continue;
      if (!binding.subjects.some((s) => subjectIs(s, user, namespace))) continue;
      if (done(this.rulesOf(tenant, binding.roleRef, namespace) ?? [], binding)) return true;
    }
    return false;
  }

  async authorize(a: AuthorizationAttributes): Promise<Decision> {
    // Reads over all tenants are root's to allow.
    const tenant = a.tenant === "*" ? ROOT_TENANT : a.tenant;
    const request: RuleRequest = { verb: a.verb, ...(a.resource ? { resource: a.resource } : { path: a.path ?? "" }) };
    let reason = "";
    const allowed = this.#visit(tenant, a.user, a.resource?.namespace ?? "", (rules, binding) => {
      if (!rules.some((rule) => ruleAllows(rule, request))) return false;
      const kind = binding.namespace === "" ? "ClusterRoleBinding" : "RoleBinding";
      const name = binding.namespace === "" ? binding.name : `${binding.name}/${binding.namespace}`;
      const role = binding.roleRef ?? { kind: "", name: "" };
      reason = `RBAC: allowed by ${kind} "${name}" of ${role.kind} "${role.name}" to ${whom(binding.subjects, a.user)}`;
      return true;
    });
    return allowed ? { decision: "allow", reason } : { decision: "noOpinion", reason: "" };
  }
}

const keyText = ({ key }: StoredObject) => `${key.tenant}/${key.namespace}/${key.name}`;

function whom(subjects: readonly Subject[], user: UserInfo): string {
  const subject = subjects.find((s) => subjectIs(s, user, s.namespace ?? ""));
  if (!subject) return "";
  const name = subject.kind === "ServiceAccount" ? `${subject.name}/${subject.namespace ?? ""}` : subject.name;
  return `${subject.kind} "${name}"`;
}
