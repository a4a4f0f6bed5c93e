import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import { resources } from "#sdk/api/facts.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import type { RequestContext, Strategy } from "../registry/strategy.ts";
import { daemonSetStrategy } from "./apps/daemonsets/strategy.ts";
import { statefulSetStrategy } from "./apps/statefulsets/strategy.ts";
import { jobStrategy } from "./batch/strategies.ts";
import { persistentVolumeClaimStrategy } from "./core/persistentvolumeclaims/strategy.ts";
import { endpointSliceStrategy } from "./discovery/endpointSlices.ts";

const context = { now: 0 } as RequestContext;

/** A kind as the server works with it: with defaults, prepared, and judged. */
class Kind {
  readonly #strategy: Strategy;

  constructor(make: (facts: ResourceFacts) => Strategy, resource: string) {
    const facts = resources().find((r) => r.resource === resource);
    if (!facts) throw new Error(`no facts of ${resource}`);
    this.#strategy = make(facts);
  }

  object(fields: object): DynamicObject {
    const made = { kind: "", apiVersion: "", metadata: { name: "x", generation: 1 }, ...structuredClone(fields) };
    this.#strategy.applyDefaults?.(made as DynamicObject);
    return made as DynamicObject;
  }

  created(fields: object): DynamicObject {
    const made = this.object(fields);
    this.#strategy.prepareForCreate?.(made, context);
    return made;
  }

  updated(fields: object, old: DynamicObject): DynamicObject {
    const made = this.object(fields);
    this.#strategy.prepareForUpdate?.(made, old, context);
    return made;
  }

  refused(fields: object, old?: DynamicObject): string[] {
    const made = old ? this.updated(fields, old) : this.created(fields);
    const causes = old ? this.#strategy.validateUpdate?.(made, old, context) : this.#strategy.validate?.(made, context);
    return (causes ?? []).map(({ field, reason }) => `${field} ${reason?.replace("FieldValue", "")}`);
  }
}

const template = (more: object = {}) => ({
  metadata: { labels: { app: "a" } },
  spec: { containers: [{ name: "c", image: "x" }], ...more },
});
const selector = { matchLabels: { app: "a" } };

test("a daemon set's template is counted in its annotation, wherever the client leaves that", () => {
  const sets = new Kind(daemonSetStrategy, "daemonsets");
  const counted = ({ metadata }: DynamicObject) => metadata.annotations?.["deprecated.daemonset.template.generation"];
  const old = sets.created({ spec: { selector, template: template() } });
  equal(counted(old), "1");
  equal(counted(sets.updated({ spec: { selector, template: template() } }, old)), "1");
  equal(counted(sets.updated({ spec: { selector, template: template({ hostNetwork: true }) } }, old)), "2");
  deepEqual(sets.refused({ spec: { selector: { matchLabels: { app: "b" } }, template: template() } }), [
    "spec.template.metadata.labels Invalid",
  ]);
});

test("of a stateful set little may change; its claims are judged with it", () => {
  const sets = new Kind(statefulSetStrategy, "statefulsets");
  const spec = { selector, template: template(), serviceName: "s" };
  const old = sets.created({ spec });
  deepEqual(sets.refused({ spec: { ...spec, replicas: 3 } }, old), []);
  deepEqual(sets.refused({ spec: { ...spec, serviceName: "other" } }, old), ["spec Forbidden"]);
  deepEqual(sets.refused({ spec: { ...spec, replicas: -1, podManagementPolicy: "Any" } }), [
    "spec.podManagementPolicy Invalid",
    "spec.replicas Invalid",
  ]);
});

test("a job ends: its pods do not always restart, and its selector is its own", () => {
  const jobs = new Kind(jobStrategy, "jobs");
  const spec = { template: template({ restartPolicy: "Never" }) };
  deepEqual(jobs.refused({ spec: { template: template() } }), ["spec.template.spec.restartPolicy Required"]);
  deepEqual(jobs.refused({ spec: { ...spec, completions: -1, parallelism: -1 } }), [
    "spec.parallelism Invalid",
    "spec.completions Invalid",
  ]);
});

test("a claim says how much and how it is reached, and takes no more than one source", () => {
  const claims = new Kind(persistentVolumeClaimStrategy, "persistentvolumeclaims");
  const spec = { accessModes: ["ReadWriteOnce"], resources: { requests: { storage: "1Gi" } } };
  deepEqual(claims.refused({ spec }), []);
  deepEqual(claims.refused({ spec: {} }), ["spec.accessModes Required", "spec.resources[storage] Required"]);
  deepEqual(claims.refused({ spec: { ...spec, accessModes: ["Sometimes"] } }), ["spec.accessModes NotSupported"]);
  const bound = claims.created({ spec: { ...spec, volumeName: "v" } });
  deepEqual(claims.refused({ spec: { ...spec, volumeName: "w" } }, bound), ["spec Forbidden"]);
});

test("a slice's version is counted when it changes, not when nothing is said in another way", () => {
  const slices = new Kind(endpointSliceStrategy, "endpointslices");
  const fields = { addressType: "IPv4", ports: [{ port: 80 }] };
  const old = slices.created({ ...fields, endpoints: null });
  equal(slices.updated(fields, old).metadata.generation, 1);
  equal(slices.updated({ ...fields, endpoints: [{ addresses: ["10.1.2.3"] }] }, old).metadata.generation, 2);
  deepEqual(slices.refused({ ...fields, addressType: "Other" }), ["addressType NotSupported"]);
  deepEqual(slices.refused({ ...fields, endpoints: [{ addresses: ["127.0.0.1"] }, {}] }), [
    "endpoints[0].addresses[0] Invalid",
    "endpoints[1].addresses Required",
  ]);
});
