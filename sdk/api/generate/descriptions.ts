/**
 * What the API's types and fields are for, in upstream's own words: taken out of the typings that the official JavaScript client ships,
 * on the machine that serves them. The words are not part of this repository.
 */
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { DESCRIPTIONS_FILE, type Descriptions } from "../descriptions.ts";
import { types } from "../facts.ts";

const capital = (word: string): string => word.charAt(0).toUpperCase() + word.slice(1);

/** The client's names for a definition: with its group where the kind alone is not one thing. */
function modelNames(definition: string): string[] {
  const parts = definition.split(".");
  const [kind = "", version = "", group = ""] = [parts.at(-1), parts.at(-2), parts.at(-3)];
  return [`${capital(group)}${capital(version)}${kind}`, `${capital(version)}${kind}`];
}

/** Paragraphs became two spaces when the client was generated. */
const textOf = (comment: string): string =>
  comment
    .replace(/^\s*\*? ?/gm, "")
    .trim()
    .replace(/\\(['"`])/g, "$1")
    .replaceAll("  ", "\n\n");

function parse(source: string): Record<string, string> {
  const found: Record<string, string> = {};
  const member = /\/\*\*([\s\S]*?)\*\/\s*(?:export declare class \w+|'([^']+)'\??:)/g;
  for (const [, comment = "", field] of source.matchAll(member)) {
    // The file begins with a comment of its own.
    const text = textOf(comment.split("/**").at(-1) ?? "");
    if (text !== "") found[field?.replace(/^_/, "") ?? ""] ??= text;
  }
  return found;
}

function typings(): { models: string; version: string } | undefined {
  try {
    const main = createRequire(import.meta.url).resolve("@kubernetes/client-node");
    const dist = dirname(main);
    const { version } = JSON.parse(readFileSync(join(dist, "..", "package.json"), "utf8")) as { version: string };
    return { models: join(dist, "gen/models"), version };
  } catch {
    return undefined;
  }
}

/** True when it had to be built. Without the client's typings there are no descriptions, and nothing else is missing. */
export function buildDescriptions(): boolean {
  const from = typings();
  if (!from) return false;
  const source = `client-node ${from.version}`;
  if (existsSync(DESCRIPTIONS_FILE)) {
    const { source: built } = JSON.parse(readFileSync(DESCRIPTIONS_FILE, "utf8")) as Descriptions;
    if (built === source) return false;
  }
  const models = new Set(readdirSync(from.models).filter((name) => name.endsWith(".d.ts")));
  const definitions: Descriptions["definitions"] = {};
  for (const definition of Object.keys(types())) {
    const model = modelNames(definition).find((name) => models.has(`${name}.d.ts`));
    if (model) definitions[definition] = parse(readFileSync(join(from.models, `${model}.d.ts`), "utf8"));
  }
  mkdirSync(dirname(DESCRIPTIONS_FILE), { recursive: true });
  writeFileSync(`${DESCRIPTIONS_FILE}.new`, JSON.stringify({ source, definitions } satisfies Descriptions));
  renameSync(`${DESCRIPTIONS_FILE}.new`, DESCRIPTIONS_FILE);
  return true;
}
