import assert from "node:assert/strict";
import { test } from "node:test";
import type { Key, Store, StoredObject, Write } from "#platform/store/port.ts";
import type { Tenant, TenantDirectory } from "#platform/store/tenants.ts";
import { notFound } from "#sdk/api/status.ts";
import type { Registry } from "./registry/registry.ts";
import { retireTenant } from "./tenants.ts";

const CRDS = "customresourcedefinitions.apiextensions.k8s.io";

/** A store, a directory and a registry as far as the end of a tenant needs them; `events` tells what happened, in order. */
function world(objects: [tenant: number, resource: string, name: string][]) {
  const events: string[] = [];
  const rows = new Map<string, StoredObject>();
  const keyText = ({ tenant, resource, name }: Key) => `${tenant}/${resource}/${name}`;
  const put = (tenant: number, resource: string, name: string) => {
    const key = { tenant, resource, namespace: "", name };
    rows.set(keyText(key), { key, uid: "u", revision: 1, document: "{}", labels: {}, fields: {} });
  };
  for (const one of objects) put(...one);
  const store = {
    list: async ({ scope }: { scope: { tenant: number; resource: string } }) => ({
      objects: [...rows.values()].filter(({ key }) => key.tenant === scope.tenant && key.resource === scope.resource),
    }),
    write: async ({ operations }: Write) => {
      for (const { type, key } of operations) {
        assert.equal(type, "delete");
        events.push(`purge ${keyText(key)}`);
        rows.delete(keyText(key));
      }
      return { ok: true, revisions: [1] };
    },
  } as unknown as Store;
  const living = new Map<string, Tenant>([["acme", { id: 2, name: "acme" }]]);
  const tenants = {
    resolve: async (name: string) => living.get(name),
    remove: async (id: number) => {
      events.push(`remove ${id}`);
      living.delete("acme");
    },
  } as unknown as TenantDirectory;
  const registry = {
    catalog: {
      entries: ["pods", "services", "configmaps", "namespaces", CRDS].map((storeResource) => ({ storeResource })),
    },
    remove: async (context: { tenant: number }, { resource, name }: { resource: string; name: string }) => {
      const key = keyText({ tenant: context.tenant, resource, namespace: "", name });
      if (!rows.delete(key)) throw notFound({ group: "", resource }, name);
      events.push(`delete ${key}`);
    },
  } as unknown as Registry;
  const parts = { store, tenants, registry: () => registry, clock: { now: () => 0 } };
  return { parts, events, rows, put, store };
}

test("all of a tenant goes, its number last, and nobody else's", async () => {
  const w = world([
    [2, "namespaces", "default"],
    [2, "pods", "p"],
    [2, "services", "s"],
    [2, "configmaps", "c"],
    [2, CRDS, "widgets.example.com"],
    [2, "widgets.example.com", "w"],
    [2, "validatingwebhookconfigurations.admissionregistration.k8s.io", "h"],
    [1, "configmaps", "c"],
    [3, "pods", "p"],
  ]);
  await retireTenant(w.parts, "acme");
  assert.deepEqual([...w.rows.keys()], ["1/configmaps/c", "3/pods/p"]);
  assert.equal(w.events.at(-1), "remove 2");
  const at = (event: string) => w.events.indexOf(event);
  // What could refuse a deletion goes first, then what would make things anew; pods and services give back what they hold.
  assert.equal(at("purge 2/validatingwebhookconfigurations.admissionregistration.k8s.io/h"), 0);
  assert.ok(at("purge 2/namespaces/default") < at("delete 2/pods/p"));
  assert.ok(at("delete 2/services/s") < at("purge 2/configmaps/c"));
  assert.ok(at("purge 2/widgets.example.com/w") >= 0);
});

test("a tenant that is not there is left alone, and an end that was begun may begin again", async () => {
  const w = world([[2, "pods", "p"]]);
  await retireTenant(w.parts, "other");
  assert.deepEqual(w.events, []);
  await retireTenant(w.parts, "acme");
  await retireTenant(w.parts, "acme");
  assert.deepEqual(w.events, ["delete 2/pods/p", "remove 2"]);
});

test("what a late request wrote goes too", async () => {
  const w = world([]);
  const { remove } = w.parts.tenants;
  w.parts.tenants.remove = async (id) => {
    await remove(id);
    w.put(2, "configmaps", "late");
  };
  await retireTenant(w.parts, "acme");
  assert.deepEqual(w.events, ["remove 2", "purge 2/configmaps/late"]);
});
