/**
 * Writes messages.generated.json beside it: field numbers and types of the messages that the served kinds use, from the generated.proto files
 * of the Go modules k8s.io/api, apimachinery, apiextensions-apiserver and kube-aggregator:
 * `node platform/apiserver/protobuf/generate.ts DIR…`, by hand, when the Kubernetes version rises.
 */
import { globSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { types } from "#sdk/api/facts.ts";
import type { FieldCode, Messages } from "./messages.ts";

const SCALARS = new Set(["string", "bool", "int32", "int64", "uint32", "uint64", "double", "bytes"]);

interface Proto {
  fields: [number: number, name: string, type: string, repeated: boolean][];
}

function readProto(text: string, found: Map<string, Proto>): void {
  const source = text.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
  const pkg = /^package ([\w.]+);/m.exec(source)?.[1] ?? "";
  for (const [, message = "", body = ""] of source.matchAll(/^message (\w+) \{([\s\S]*?)^\}/gm)) {
    const fields: Proto["fields"] = [];
    for (const m of body.matchAll(
      /^\s*(?:(optional|repeated)\s+)?(map<\s*\w+\s*,\s*([\w.]+)\s*>|[\w.]+)\s+(\w+)\s*=\s*(\d+)/gm,
    )) {
      const [, label, type = "", value, name = "", number] = m;
      const qualified = (t: string) =>
        SCALARS.has(t) ? t : t.startsWith(".") ? t.slice(1) : t.startsWith("k8s.io.") ? t : `${pkg}.${t}`;
      fields.push([Number(number), name, value ? `map:${qualified(value)}` : qualified(type), label === "repeated"]);
    }
    found.set(`${pkg}.${message}`, { fields });
  }
}

/** "k8s.io.api.core.v1.Pod" is "io.k8s.api.core.v1.Pod" in the facts. */
const definitionOf = (message: string): string =>
  message.replace(/^k8s\.io\./, "io.k8s.").replace(/^(io\.k8s\.\w+?)_(\w+)/, "$1-$2");

/** Protobuf names are Go's; JSON's may differ in case and carry signs ("$ref", "x-kubernetes-map-type"). */
const plain = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, "");

/** Served, but in no kind's schema. */
const EXTRA = ["DeleteOptions", "Status", "PartialObjectMetadata", "PartialObjectMetadataList", "WatchEvent"];

function main(dirs: string[]): void {
  const found = new Map<string, Proto>();
  for (const dir of dirs) {
    for (const file of globSync("**/generated.proto", { cwd: dir }))
      readProto(readFileSync(join(dir, file), "utf8"), found);
  }
  const messages: Messages = {};
  const add = (message: string): void => {
    const proto = found.get(message);
    if (messages[message] || !proto) return;
    const fields: Record<string, FieldCode> = {};
    messages[message] = fields;
    const properties = types()[definitionOf(message)]?.properties;
    for (const [number, name, type, repeated] of proto.fields) {
      const bare = type.replace(/^map:/, "");
      // An embedded struct is a message of its own here and part of its parent in JSON.
      const json = Object.keys(properties ?? {}).find((p) => plain(p) === plain(name));
      const inline = properties !== undefined && json === undefined && !SCALARS.has(bare) && !repeated;
      const jsonName = inline ? "" : (json ?? name);
      fields[String(number)] = repeated ? [jsonName, type, 1] : [jsonName, type];
      add(bare);
    }
  };
  for (const message of found.keys()) if (types()[definitionOf(message)]?.gvks) add(message);
  for (const name of EXTRA) add(`k8s.io.apimachinery.pkg.apis.meta.v1.${name}`);
  writeFileSync(join(import.meta.dirname, "messages.generated.json"), `${JSON.stringify(messages)}\n`);
}

main(process.argv.slice(2));
