import { deepEqual, equal } from "node:assert/strict";
import test, { type TestContext } from "node:test";
import type { ConfigMap } from "../api/generated/types.ts";
import { badRequest } from "../api/status.ts";
import { createFakeApi } from "../testing/fake-api.ts";
import { until } from "../testing/until.ts";
import { createInformer } from "./informer.ts";
import type { Client } from "./port.ts";

const CONFIGMAPS = { group: "", version: "v1", resource: "configmaps" };
const make = (client: Client, name: string, color = "") =>
  client.create<ConfigMap>(CONFIGMAPS, {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { name, namespace: "default", labels: color ? { color } : {} },
  });

async function setUp(t: TestContext, client: Client) {
  const stop = new AbortController();
  t.after(() => stop.abort());
  const informer = createInformer<ConfigMap>(client.tenant("*"), CONFIGMAPS, {
    indexes: { color: (o) => (o.metadata.labels?.["color"] ? [o.metadata.labels["color"]] : []) },
  });
  const seen: string[] = [];
  informer.on({
    added: (o) => seen.push(`+${o.metadata.name}`),
    updated: (o) => seen.push(`~${o.metadata.name}`),
    deleted: (o) => seen.push(`-${o.metadata.name}`),
  });
  await informer.start(stop.signal);
  return { informer, seen };
}

test("what is there is listed first, then every change is followed, keyed and indexed", async (t) => {
  const api = createFakeApi();
  await make(api.client, "a", "red");
  const { informer, seen } = await setUp(t, api.client);
  equal(informer.get("root/default/a")?.metadata.name, "a");
  await make(api.client.tenant("acme"), "b", "red");
  await api.client.patch(
    CONFIGMAPS,
    { namespace: "default", name: "a" },
    { type: "merge", body: { metadata: { labels: { color: "blue" } } } },
  );
  await api.client.tenant("acme").delete(CONFIGMAPS, { namespace: "default", name: "b" });
  await until(() => seen.length === 4);
  deepEqual(seen, ["+a", "+b", "~a", "-b"]);
  deepEqual(informer.byIndex("color", "red"), []);
  deepEqual(
    informer.byIndex("color", "blue").map((o) => o.metadata.name),
    ["a"],
  );
});

test("after a lost watch nothing is missed and nothing is told twice", async (t) => {
  const api = createFakeApi();
  await make(api.client, "a");
  const { seen } = await setUp(t, api.client);
  api.dropWatches();
  await make(api.client, "b");
  await until(() => seen.includes("+b"));
  deepEqual(seen, ["+a", "+b"]);
});

test("after 410 everything is read anew and the difference is told, deletions too", async (t) => {
  const api = createFakeApi();
  await make(api.client, "a");
  await make(api.client, "b");
  const { seen } = await setUp(t, api.client);
  api.dropWatches();
  await api.client.delete(CONFIGMAPS, { namespace: "default", name: "a" });
  await make(api.client, "c");
  api.compact();
  await until(() => seen.includes("+c"));
  deepEqual(seen.toSorted(), ["+a", "+b", "+c", "-a"]);
});

test("a server without WatchList is listed in pages", async (t) => {
  const api = createFakeApi();
  for (let i = 0; i < 501; i++) await make(api.client, `m${i}`);
  const wildcard = api.client.tenant("*");
  let lists = 0;
  const old: Client = {
    ...api.client,
    tenant: () => old,
    list: (r, o) => {
      lists++;
      return wildcard.list(r, o);
    },
    watch: (r, o) => {
      if (o.sendInitialEvents)
        throw badRequest("sendInitialEvents is forbidden for watch unless the WatchList feature gate is enabled");
      return wildcard.watch(r, o);
    },
  };
  const { informer } = await setUp(t, old);
  equal(informer.list().length, 501);
  equal(lists, 2);
});
