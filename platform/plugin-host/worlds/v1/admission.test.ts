import assert from "node:assert/strict";
import { test } from "node:test";
import { silentLog } from "#platform/base/log.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { StatusError } from "#sdk/api/status.ts";
import { denyAnnotated, type Failure, failure } from "#sdk/plugin/failure.ts";
import { pluginSpecSchema } from "#sdk/plugin/manifest.ts";
import { jsonPatch, mergePatch } from "#sdk/plugin/patch.ts";
import { admissionTexts } from "#sdk/plugin/texts.ts";
import type { Mutation, Review } from "#sdk/plugin/types.ts";
import { PluginCallError } from "../../errors.ts";
import type { LoadedPlugin, PluginHost } from "../../host.ts";
import { type AdmissionRequest, createAdmissionPlugins } from "./admission.ts";

interface Hooks {
  mutate(review: Review): Mutation;
  validate(review: Review): string[];
}
const nothing: Hooks = { mutate: () => ({ patch: "", warnings: [] }), validate: () => [] };

/** A component in this process: with `texts` it has both interfaces, as those in TypeScript have. */
function fakePlugin(hooks: Hooks, texts: boolean, answer?: string, scope = "call") {
  const reviews: Review[] = [];
  const refused: string[] = [];
  const kept = (review: Review): Review => {
    reviews.push(JSON.parse(JSON.stringify(review)) as Review);
    return review;
  };
  const seen: Hooks = {
    mutate: (review) => hooks.mutate(kept(review)),
    validate: (review) => hooks.validate(kept(review)),
  };
  const failed = (hook: string, { message, ...rest }: Failure) =>
    new PluginCallError("p", hook, "failure", message, rest);
  const rule = { groups: ["*"], resources: ["*/*"], operations: ["CREATE"] };
  const plugin: LoadedPlugin = {
    name: "p",
    tenant: "root",
    spec: pluginSpecSchema.parse({
      version: "1.0.0",
      witVersion: "v1",
      worlds: ["admission"],
      digest: `sha256:${"0".repeat(64)}`,
      match: [rule],
      scope,
    }),
    async call(interfaceName, hook, args) {
      assert.equal(interfaceName, texts ? "admission-texts" : "admission-hooks");
      if (answer !== undefined) return answer;
      const name = hook as keyof Hooks;
      if (texts) return admissionTexts(seen)[name](...(args as [string, string, string, string]));
      try {
        return seen[name](args[0] as Review);
      } catch (error) {
        const { reason, code, message, details } = error as Failure;
        throw failed(hook, { reason, code, message, details });
      }
    },
    offers: (interfaceName) => texts && interfaceName === "admission-texts",
    broadcast: async () => undefined,
    failed,
    refused: (_hook, why) => void refused.push(why),
  };
  const host = { loaded: () => [plugin] } as unknown as PluginHost;
  const options = { context: async () => [], check: (_: unknown, object: DynamicObject) => object, log: silentLog };
  const [hook] = createAdmissionPlugins(host, options).hooks(request());
  assert.ok(hook?.mutate && hook.validate);
  return { hook: { mutate: hook.mutate, validate: hook.validate }, reviews, refused };
}

const request = (more: Partial<AdmissionRequest> = {}): AdmissionRequest => ({
  tenantName: "root",
  operation: "CREATE",
  kind: { group: "apps", version: "v1", kind: "Deployment" },
  resource: { group: "apps", version: "v1", resource: "deployments" },
  subresource: "scale",
  namespace: 'quo"ted\n',
  name: "",
  object: { apiVersion: "apps/v1", kind: "Deployment", metadata: { name: "wéb" } } as DynamicObject,
  dryRun: true,
  user: { name: "alice", groups: ["a", "b"], extra: { k: ["v"] } },
  ...more,
});

test("a review is the same as a record and as texts", async () => {
  const [records, texts] = [false, true].map((one) => fakePlugin(nothing, one));
  await records?.hook.mutate(request());
  await texts?.hook.mutate(request());
  assert.deepEqual(texts?.reviews, records?.reviews);
  assert.equal(texts?.reviews[0]?.namespace, 'quo"ted\n');
  assert.equal(texts?.reviews[0]?.name, "wéb");
});

for (const texts of [false, true])
  test(`patches of both kinds, warnings, annotations and refusals come back ${texts ? "as texts" : "in records"}`, async () => {
    const label = { op: "add", path: "/metadata/labels", value: { a: "b" } } as const;
    for (const made of [
      jsonPatch([label], ["careful"]),
      mergePatch({ metadata: { labels: { a: "b" } } }, ["careful"]),
    ]) {
      const { hook } = fakePlugin({ ...nothing, mutate: () => made }, texts);
      const { object, warnings } = await hook.mutate(request());
      assert.deepEqual([object?.metadata.labels, object?.metadata.name, warnings], [{ a: "b" }, "wéb", ["careful"]]);
    }
    const plain = fakePlugin({ ...nothing, mutate: () => jsonPatch([label]) }, texts);
    assert.deepEqual((await plain.hook.mutate(request())).object?.metadata.labels, { a: "b" });
    assert.equal((await fakePlugin(nothing, texts).hook.mutate(request())).object, undefined);
    const warns = fakePlugin({ ...nothing, validate: () => ["old", "\u0001key=value"] }, texts);
    const noted: string[] = [];
    const annotate = (key: string, value: string) => void noted.push(key, value);
    assert.deepEqual(await warns.hook.validate(request({ annotate })), { warnings: ["old"] });
    assert.deepEqual(noted, ["key", "value"]);
    const denies = fakePlugin(
      {
        ...nothing,
        validate: () => {
          throw denyAnnotated("no", { why: "x" });
        },
      },
      texts,
    );
    await assert.rejects(denies.hook.validate(request({ annotate })), (error: unknown) => {
      assert.ok(error instanceof StatusError);
      assert.deepEqual([error.code, error.reason], [403, "Forbidden"]);
      return true;
    });
    assert.deepEqual(noted.slice(2), ["why", "x"]);
    const busy = fakePlugin(
      {
        ...nothing,
        mutate: () => {
          throw failure("TooManyRequests", "later", 429);
        },
      },
      texts,
    );
    await assert.rejects(
      busy.hook.mutate(request()),
      (error: unknown) => error instanceof StatusError && error.code === 429,
    );
  });

test("an answer that is none is refused, with what is wrong where the plugin's owner looks", async () => {
  const wrong: [text: string, why: RegExp][] = [
    ["{", /no JSON/],
    ["1", /neither a list nor an object/],
    ['{"warnings":[1]}', /no list of texts/],
    ['{"failure":{"message":"x"}}', /not the contract's/],
    ['{"patch":1}', /neither a list nor an object/],
    ["[1]", /no list of operations/],
    [`"${"x".repeat(4 << 20)}"`, /of at most/],
  ];
  for (const [answer, why] of wrong) {
    const { hook, refused } = fakePlugin(nothing, true, answer);
    await assert.rejects(
      hook.mutate(request()),
      (error: unknown) => error instanceof StatusError && error.code === 500,
    );
    assert.equal(refused.length, 1);
    assert.match(refused[0] ?? "", why);
  }
});

for (const texts of [false, true])
  test(`scope object: what was answered holds while what is shown is the same, ${texts ? "as texts" : "in records"}`, async () => {
    const hooks: Hooks = {
      mutate: () => mergePatch({ metadata: { labels: { a: "b" } }, list: [1] }, ["careful"]),
      validate({ object }) {
        if (object.includes("bad")) throw denyAnnotated("no", {});
        return [];
      },
    };
    const { hook, reviews } = fakePlugin(hooks, texts, undefined, "object");
    const first = await hook.mutate(request());
    // Whoever gets an answer may change what it made.
    (first.object as unknown as { list: number[] }).list.push(2);
    const second = await hook.mutate(request({ user: { name: "bob", groups: [] } }));
    assert.deepEqual((second.object as unknown as { list: number[] }).list, [1]);
    assert.deepEqual(second.warnings, ["careful"]);
    assert.equal(reviews.length, 1);
    await hook.validate(request());
    await hook.mutate(
      request({ operation: "UPDATE", object: { ...request().object, kind: "Other" } as DynamicObject }),
    );
    await hook.mutate(request({ tenantName: "other" }));
    assert.equal(reviews.length, 4);
    const bad = { ...request().object, metadata: { name: "bad" } } as DynamicObject;
    for (let i = 0; i < 2; i++) await assert.rejects(hook.validate(request({ object: bad })), StatusError);
    assert.equal(reviews.length, 6);
  });
