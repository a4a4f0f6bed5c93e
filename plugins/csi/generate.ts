/**
 * Writes generated.ts from CSI's csi.proto: `node plugins/csi/generate.ts PATH/csi.proto` (Go module
 * github.com/container-storage-interface/spec v1.12.0). Field numbers, names and types only, in the form of sdk/plugin/protobuf.ts; what is
 * nested in a message goes by its whole name ("VolumeCapability.AccessMode").
 */
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import protobuf from "protobufjs";

const source = process.argv[2];
if (source === undefined) throw new Error("usage: node plugins/csi/generate.ts PATH/csi.proto");
const empty = new protobuf.Root({});
/** protobuf's own types come with protobufjs. */
empty.resolvePath = (_, target) =>
  target.startsWith("google/") ? fileURLToPath(import.meta.resolve(`protobufjs/${target}`)) : target;
const root = (await empty.load(source)).resolveAll();
const messages: Record<string, string> = {};
const enums: Record<string, Record<number, string>> = {};
const nameOf = (one: protobuf.ReflectionObject): string => one.fullName.replace(/^\.csi\.v1\./, "").replace(/^\./, "");

function field(one: protobuf.Field): string {
  const type = one.resolvedType === null ? one.type : nameOf(one.resolvedType);
  const prefix = one instanceof protobuf.MapField ? "{" : one.repeated ? "*" : "";
  return `${one.id} ${one.name} ${prefix}${type}`;
}

function visit(space: protobuf.NamespaceBase): void {
  for (const one of space.nestedArray) {
    const ours =
      one.fullName.startsWith(".csi.v1.") ||
      /^\.google\.protobuf\.(Timestamp|BoolValue|Int64Value)$/.test(one.fullName);
    if (one instanceof protobuf.Type && ours) messages[nameOf(one)] = one.fieldsArray.map(field).join(";");
    else if (one instanceof protobuf.Enum && ours) enums[nameOf(one)] = one.valuesById;
    if (one instanceof protobuf.Namespace) visit(one);
  }
}
visit(root);

const table = (name: string, type: string, value: unknown) =>
  `export const ${name}: Readonly<Record<string, ${type}>> = ${JSON.stringify(value, null, 1)};\n`;
writeFileSync(
  join(import.meta.dirname, "generated.ts"),
  `// Written by generate.ts from CSI's csi.proto (1.12.0): change nothing here.\n${table("messages", "string", messages)}${table("enums", "Readonly<Record<number, string>>", enums)}`,
);
