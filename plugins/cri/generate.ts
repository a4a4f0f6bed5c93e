/**
 * Writes generated.ts from CRI's api.proto: `node plugins/cri/generate.ts PATH/api.proto` (Go module k8s.io/cri-api
 * v0.36.3, pkg/apis/runtime/v1/api.proto). Field numbers, names and types only.
 *
 * A message is one text: fields separated by ";", each "number name type", where a type is a scalar's name, the name of a
 * message or enum, "*type" when repeated, or "{value type" for a map with text keys. An enum is its names by value.
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import protobuf from "protobufjs";

const source = process.argv[2];
if (source === undefined) throw new Error("usage: node plugins/cri/generate.ts PATH/api.proto");
const root = (await new protobuf.Root({}).load(source)).resolveAll();
const messages: Record<string, string> = {};
const enums: Record<string, Record<number, string>> = {};

function field(one: protobuf.Field): string {
  const type = one.resolvedType === null ? one.type : one.resolvedType.name;
  const prefix = one instanceof protobuf.MapField ? "{" : one.repeated ? "*" : "";
  return `${one.id} ${one.name} ${prefix}${type}`;
}

function visit(space: protobuf.NamespaceBase): void {
  for (const one of space.nestedArray) {
    if (one instanceof protobuf.Type) messages[one.name] = one.fieldsArray.map(field).join(";");
    else if (one instanceof protobuf.Enum) enums[one.name] = one.valuesById;
    if (one instanceof protobuf.Namespace) visit(one);
  }
}
visit(root);

const table = (name: string, type: string, value: unknown) =>
  `export const ${name}: Readonly<Record<string, ${type}>> = ${JSON.stringify(value, null, 1)};\n`;
writeFileSync(
  join(import.meta.dirname, "generated.ts"),
  `// Written by generate.ts from CRI's api.proto (Kubernetes 1.36.3): change nothing here.\n${table("messages", "string", messages)}${table("enums", "Readonly<Record<number, string>>", enums)}`,
);
