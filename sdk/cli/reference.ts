/** The contract as a page for people: worlds, hooks and what they are given, made of the WIT and its comments. */
import { readContract, type WitFunction, type WitInterface, type WitPackage, type WitType } from "../plugin/wit.ts";

export function contractReference(version: string): string {
  const contract = readContract(version);
  const hooks = new Set([...contract.worlds.values()].flatMap((world) => world.exports));
  const always = new Set([...contract.worlds.values()].flatMap((world) => world.imports));
  const faces = [...contract.interfaces.values()];
  const section = (title: string, wanted: (face: WitInterface) => boolean) => [
    `## ${title}`,
    ...faces.filter(wanted).map((face) => interfaceText(face)),
  ];
  return [
    `# The plugin contract, ${version} (${contract.name}@${contract.version})`,
    "Made by `npx capstan plugin reference` from `sdk/wit`. In TypeScript names are camelCase; `result<T, failure>` is T or a thrown `PluginFailure`.",
    "## Worlds",
    worldTable(contract),
    ...section("Hooks", (face) => hooks.has(face.name)),
    ...section("What every plugin may use", (face) => always.has(face.name)),
    ...section(
      "What is granted by name",
      (face) => face.functions.length > 0 && !hooks.has(face.name) && !always.has(face.name),
    ),
    ...section("Shared types", (face) => face.functions.length === 0),
  ]
    .join("\n\n")
    .concat("\n");
}

const worldTable = (contract: WitPackage): string =>
  [
    "| world | hooks |",
    "| --- | --- |",
    ...[...contract.worlds.values()].map(
      ({ name, exports }) => `| \`${name}\` | ${exports.map((e) => `\`${e}\``).join(", ")} |`,
    ),
  ].join("\n");

function interfaceText(face: WitInterface): string {
  const types = [...face.types.values()].map((def) => {
    const fields = def.fields.map((f) => {
      const type = f.type ? `: ${typeText(f.type)}` : "";
      return `- \`${f.name}${type}\`${f.doc ? ` ${oneLine(f.doc)}` : ""}`;
    });
    return [`#### ${def.kind} \`${def.name}\``, def.doc, fields.join("\n")].filter(Boolean).join("\n\n");
  });
  const functions = face.functions.map((f) => [`#### \`${signature(f)}\``, f.doc].filter(Boolean).join("\n\n"));
  return [`### ${face.name}`, face.doc, ...functions, ...types].filter(Boolean).join("\n\n");
}

const oneLine = (doc: string): string => doc.replaceAll("\n", " ");

function signature({ name, parameters, result }: WitFunction): string {
  const given = parameters.map((p) => `${p.name}: ${typeText(p.type)}`).join(", ");
  return `${name}(${given})${result ? ` → ${typeText(result)}` : ""}`;
}

function typeText(type: WitType): string {
  switch (type.kind) {
    case "primitive":
    case "name":
      return type.name;
    case "list":
    case "option":
      return `${type.kind}<${typeText(type.of)}>`;
    case "tuple":
      return `tuple<${type.of.map(typeText).join(", ")}>`;
    case "result":
      return `result<${type.ok ? typeText(type.ok) : "_"}, ${type.error ? typeText(type.error) : "_"}>`;
  }
}
