/**
 * Which resources there are, in which tenant: what root's discovery tells is served everywhere, custom resources are those of each tenant's own
 * definitions. Two tenants may give the same names different versions and kinds.
 */
import type { CustomResourceDefinition } from "#sdk/api/generated/types.ts";
import type { DiscoveredResource } from "#sdk/client/discovery.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { keyOfResource } from "../resources.ts";

const ROOT = "root";
const VERBS = ["delete", "deletecollection", "get", "list", "patch", "create", "update", "watch"];

/** The resource in the version that is stored, or one that is served; undefined before it is served. */
export function resourceDefined({ spec, status }: CustomResourceDefinition): DiscoveredResource | undefined {
  const established = status?.conditions?.some(({ type, status: is }) => type === "Established" && is === "True");
  const served = (spec?.versions ?? []).filter((version) => version.served);
  const version = served.find(({ storage }) => storage) ?? served[0];
  if (!established || !spec || !version) return undefined;
  const { group, names, scope } = spec;
  const { plural: resource, kind } = names;
  return { group, version: version.name, resource, kind, namespaced: scope === "Namespaced", verbs: VERBS };
}

export class Resources {
  readonly #everywhere = new Map<string, DiscoveredResource>();
  /** Tenant → group/resource → as that tenant defines it. */
  readonly #own = new Map<string, Map<string, DiscoveredResource>>();

  /** Takes root's discovery and answers what is new of it. */
  discovered(resources: readonly DiscoveredResource[]): DiscoveredResource[] {
    const added = resources.filter((r) => {
      const key = keyOfResource(r);
      return !this.#everywhere.has(key) && !this.#own.get(ROOT)?.has(key);
    });
    for (const resource of added) this.#everywhere.set(keyOfResource(resource), resource);
    return added;
  }

  /** Answers the resource that the definition serves. */
  define(definition: CustomResourceDefinition): DiscoveredResource | undefined {
    const tenant = tenantOf(definition);
    const resource = resourceDefined(definition);
    if (!resource) return undefined;
    const own = this.#own.get(tenant) ?? new Map<string, DiscoveredResource>();
    this.#own.set(tenant, own.set(keyOfResource(resource), resource));
    // Discovery may have been faster.
    if (tenant === ROOT) this.#everywhere.delete(keyOfResource(resource));
    return resource;
  }

  forget(definition: CustomResourceDefinition): void {
    const { group = "", names } = definition.spec ?? {};
    this.#own.get(tenantOf(definition))?.delete(keyOfResource({ group, resource: names?.plural ?? "" }));
  }

  /** The same resource, in the version that the tenant serves. */
  inTenant(tenant: string, resource: DiscoveredResource): DiscoveredResource {
    return this.#own.get(tenant)?.get(keyOfResource(resource)) ?? resource;
  }

  /** The resource of an owner reference's kind. */
  ofKind(tenant: string, group: string, kind: string): DiscoveredResource | undefined {
    const own = [...(this.#own.get(tenant)?.values() ?? [])];
    return [...own, ...this.#everywhere.values()].find((r) => r.group === group && r.kind === kind);
  }
}
