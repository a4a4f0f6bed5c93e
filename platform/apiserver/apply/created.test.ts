import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { typeOf, types } from "#sdk/api/facts.ts";
import type { DynamicObject, Json, JsonObject } from "#sdk/api/object.ts";
import { hasShapeOf, outline } from "./created.ts";
import { trackUpdate } from "./server-side-apply.ts";
import { typeCompiler } from "./types.ts";

function freshType(object: JsonObject) {
  const [version = "", group = ""] = String(object.apiVersion).split("/").reverse();
  const schema = typeOf({ group, version, kind: String(object.kind) });
  assert.ok(schema);
  return typeCompiler(types())(schema);
}

const deployment = {
  apiVersion: "apps/v1",
  kind: "Deployment",
  metadata: {
    name: "web",
    namespace: "shop",
    labels: { app: "web" },
    finalizers: ["a.example/x"],
    creationTimestamp: null,
  },
  spec: {
    replicas: 3,
    selector: { matchLabels: { app: "web" } },
    strategy: {},
    template: {
      metadata: { labels: { app: "web" }, annotations: {} },
      spec: {
        nodeSelector: { zone: "cellar" },
        tolerations: [{ key: "gpu", operator: "Exists" }],
        volumes: [{ name: "v", configMap: { name: "c" } }],
        containers: [
          {
            name: "c",
            image: "nginx",
            args: ["-v"],
            env: [{ name: "A", value: "secret value" }],
            ports: [{ containerPort: 80, protocol: "TCP" }],
            resources: {},
          },
          { name: "d", image: "nginx", securityContext: { runAsUser: 0 } },
        ],
      },
    },
  },
} as unknown as JsonObject;

/** Has numbers that Go always writes. */
const autoscaler = {
  apiVersion: "autoscaling/v2",
  kind: "HorizontalPodAutoscaler",
  metadata: { name: "web" },
  spec: {
    maxReplicas: 0,
    scaleTargetRef: { kind: "Deployment", name: "" },
    metrics: [{ type: "Resource", resource: { name: "cpu", target: { type: "", averageUtilization: 5 } } }],
  },
} as unknown as JsonObject;

/** The same numbers for the same seed (Numerical Recipes' generator). */
function numbers(seed: number): (below: number) => number {
  let state = seed;
  return (below) => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return Math.floor((state / 2 ** 32) * below);
  };
}

const VALUES: readonly Json[] = [null, {}, [], "", "x", 0, 7, true, false, { name: "c" }, [{ name: "c" }], ["x"]];
const isContainer = (value: Json | undefined): value is JsonObject | Json[] =>
  typeof value === "object" && value !== null;

/** A field becomes another, which no type may know, at the same place. */
function rename(object: JsonObject, key: string): void {
  const entries = Object.entries(object);
  for (const [name, value] of entries) {
    delete object[name];
    object[name === key ? `${name}x` : name] = value as Json;
  }
}

/** One place in it is another value, gone, or there twice. */
function changed(object: JsonObject, random: (below: number) => number): JsonObject {
  const copy = structuredClone(object);
  let at = copy[random(4) === 0 ? "metadata" : "spec"] as JsonObject | Json[];
  for (;;) {
    const keys: string[] = Object.keys(at);
    const key: string | undefined = keys[random(keys.length)];
    if (key === undefined) return copy;
    const child: Json | undefined = (at as JsonObject)[key];
    if (isContainer(child) && Object.keys(child).length > 0 && random(5) > 0) {
      at = child;
      continue;
    }
    const value = structuredClone(VALUES[random(VALUES.length)] as Json);
    const what = random(4);
    if (Array.isArray(at) && what === 0) at.push(structuredClone(child as Json));
    else if (Array.isArray(at) || what > 1) (at as JsonObject)[key] = value;
    else if (what === 0) delete at[key];
    else rename(at, key);
    return copy;
  }
}

const owners = (object: JsonObject, type: ReturnType<typeof freshType>, of: JsonObject) =>
  trackUpdate(undefined, object as unknown as DynamicObject, {
    manager: "test",
    time: new Date(0),
    apiVersion: String(of.apiVersion),
    kind: String(of.kind),
    type,
  });

describe("the fields that a creation owns", () => {
  for (const first of [deployment, autoscaler])
    for (const seed of [1, 2, 3])
      it(`are the same remembered as worked out, for a ${String(first.kind)} that changes a little (seed ${seed})`, () => {
        const random = numbers(seed);
        const type = freshType(first);
        let object = first;
        let alike = 0;
        for (let i = 0; i < 400; i++) {
          const next = changed(i % 3 === 0 ? first : object, random);
          if (hasShapeOf(type, outline(type, i % 3 === 0 ? first : object) as JsonObject, next)) alike++;
          object = next;
          const text = JSON.stringify(object);
          assert.deepEqual(owners(object, type, first), owners(object, freshType(first), first), text);
          assert.equal(JSON.stringify(object), text);
        }
        assert.ok(alike > 20, `only ${alike} of the objects had the shape of the one before`);
      });

  it("are remembered without the values that say nothing of them", () => {
    const type = freshType(deployment);
    const kept = JSON.stringify(outline(type, deployment));
    for (const value of ["secret value", "nginx", "shop", "cellar"]) assert.ok(!kept.includes(value), kept);
    assert.ok(hasShapeOf(type, JSON.parse(kept) as JsonObject, deployment));
  });

  it("are others where a list's items are, or where a value is what a struct has anyway", () => {
    const text = JSON.stringify(deployment);
    const type = freshType(deployment);
    assert.equal(
      hasShapeOf(type, deployment, JSON.parse(text.replace('"name":"c","image"', '"name":"e","image"'))),
      false,
    );
    const limited = JSON.parse(JSON.stringify(autoscaler).replace('"maxReplicas":0', '"maxReplicas":3')) as JsonObject;
    assert.equal(hasShapeOf(freshType(autoscaler), autoscaler, limited), false);
  });
});
