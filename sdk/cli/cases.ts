/**
 * What a plugin is tested by: files in its folder `tests`, the same for every language. Each is one instance: what it may see, then calls in
 * order with what is expected of them, and what a call may cost.
 */
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { z } from "zod";
import { resourceByGVK } from "../api/facts.ts";
import type { DynamicObject, GroupVersionResource } from "../api/object.ts";
import { abiFunction, camel } from "../plugin/bindings/abi.ts";
import { interfacesOf } from "../plugin/build-native.ts";
import type { Manifest } from "../plugin/manifest.ts";
import { readContract } from "../plugin/wit.ts";
import { complete } from "../testing/plugin-values.ts";

const failureSchema = z.object({
  reason: z.string(),
  message: z.string().optional(),
  code: z.number().optional(),
  details: z.string().optional(),
});

const callSchema = z.strictObject({
  /** "mutate", or with its interface where two have it: "volume-node-hooks.get-capabilities". */
  hook: z.string(),
  /** One for each parameter; records may lack fields, objects may stand for JSON text. */
  arguments: z.array(z.unknown()).default([]),
  expect: z.unknown().optional(),
  failure: failureSchema.optional(),
  /** Texts of which each is in some line of the log so far. */
  log: z.array(z.string()).default([]),
  /** Writes to the API so far: "POST root/default/configmaps/x". */
  writes: z.array(z.string()).optional(),
  /** Of the quickest of several runs, and of the instance after it. */
  budget: z
    .strictObject({
      micros: z.number().optional(),
      memoryMiB: z.number().optional(),
      /** Units of work as the engine wasmtime counts them: the same on every machine. */
      fuel: z.number().optional(),
    })
    .optional(),
});
export type CaseCall = z.infer<typeof callSchema>;

const objectSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
});

const caseSchema = z.strictObject({
  description: z.string().default(""),
  config: z.record(z.string(), z.unknown()).optional(),
  facts: z.record(z.string(), z.unknown()).optional(),
  /** RFC 3339: the time stands still. */
  now: z.iso.datetime().optional(),
  objects: z.array(objectSchema).default([]),
  files: z.record(z.string(), z.string()).optional(),
  answers: z
    .array(
      z.strictObject({
        call: z.string(),
        arguments: z.array(z.unknown()).optional(),
        value: z.unknown().optional(),
        failure: failureSchema.extend({ message: z.string() }).optional(),
      }),
    )
    .default([]),
  calls: z.array(callSchema).min(1),
});
export type Case = z.infer<typeof caseSchema>;

export interface NamedCase {
  /** The file's name without its end. */
  name: string;
  path: string;
  /** As the file has it, for recording. */
  raw: Record<string, unknown>;
  case: Case;
}

/** Throws naming the file and the field. */
export function readCases(dir: string): NamedCase[] {
  const folder = join(dir, "tests");
  let names: string[];
  try {
    names = readdirSync(folder).filter((name) => name.endsWith(".json"));
  } catch {
    throw new Error(`${folder} is missing: a plugin's tests are JSON files there`);
  }
  return names.sort().map((name) => {
    const path = join(folder, name);
    const raw = JSON.parse(readFileSync(path, "utf8")) as Record<string, unknown>;
    const parsed = caseSchema.safeParse(raw);
    if (!parsed.success) throw new Error(`${path}: ${z.prettifyError(parsed.error)}`);
    return { name: name.replace(/\.json$/, ""), path, raw, case: parsed.data };
  });
}

export interface ResolvedCall {
  /** "capstan:plugin/filter-hooks@1.0.0" */
  interfaceName: string;
  functionName: string;
  arguments: unknown[];
}

/** A call as the engine takes it. Throws where the plugin has no such hook, or an argument does not fit the contract. */
export function resolveCall(manifest: Manifest, call: Pick<CaseCall, "hook" | "arguments">): ResolvedCall {
  const contract = readContract(manifest.witVersion);
  const [wanted, only] = call.hook.split(".").reverse();
  for (const name of interfacesOf(manifest).hooks) {
    const face = contract.interfaces.get(name);
    const found = face?.functions.find((f) => f.name === wanted || camel(f.name) === wanted);
    if (!face || !found || (only !== undefined && only !== name)) continue;
    const { parameters } = abiFunction(contract, face, found);
    return {
      interfaceName: `${contract.name}/${name}@${contract.version}`,
      functionName: camel(found.name),
      arguments: parameters.map((p, i) => complete(p.type, call.arguments[i], camel(p.name))),
    };
  }
  throw new Error(`the plugin has no hook ${call.hook}`);
}

/** Where an object of a case is served: its plural from the API's facts, or made of the kind for those that nobody here serves. */
export function resourceOf({ apiVersion = "", kind = "" }: DynamicObject): GroupVersionResource {
  const [version = "", group = ""] = apiVersion.split("/").reverse();
  const resource = resourceByGVK({ group, version, kind })?.resource ?? `${kind.toLowerCase()}s`;
  return { group, version, resource };
}
