/** `capstan plugin keygen|sign|push|save`: from a built plugin to a signed artifact, in a registry or a file. */
import { existsSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { homedir } from "node:os";
import { join, resolve } from "node:path";
import { outDirOf } from "#sdk/cli/test.ts";
import { type Archived, readArchive, writeArchive } from "#sdk/distribution/archive.ts";
import { pack, unpack } from "#sdk/distribution/artifact.ts";
import { parseReference, type Reference } from "#sdk/distribution/reference.ts";
import { Registry } from "#sdk/distribution/registry.ts";
import { fingerprint, generateKeys, publicKeyOf, signDigest } from "#sdk/distribution/signature.ts";
import { pullArtifact, pushArtifact, pushSignatures } from "#sdk/distribution/transfer.ts";
import { type BuildOptions, type BuiltPlugin, buildPlugin } from "#sdk/plugin/build.ts";
import { UserError } from "../../steps.ts";
import { buildOptions, only, type PluginOptions, say } from "./options.ts";

/** What the arguments of sign, push, save and install name. */
export type Target =
  | { kind: "folder"; dir: string; built: BuiltPlugin; artifact: Archived }
  | { kind: "file"; path: string; artifact: Archived }
  | { kind: "registry"; reference: Reference; registry: Registry };

/** A folder (which is built), an archive, or a reference to a registry. */
export async function targetOf(text: string, build: BuildOptions = {}): Promise<Target> {
  const path = resolve(text);
  const found = statSync(path, { throwIfNoEntry: false });
  if (found?.isDirectory()) {
    const built = await buildPlugin(path, outDirOf(path), build);
    return { kind: "folder", dir: path, built, artifact: await archived(built, archivePath(path)) };
  }
  if (found) return { kind: "file", path, artifact: await readArchive(path) };
  const reference = referenceOf(text);
  return {
    kind: "registry",
    reference,
    registry: new Registry(reference, { credentials: credentialsFor(reference.host) }),
  };
}

/** A name that is mistyped is a folder or a file more often than a reference. */
function referenceOf(text: string): Reference {
  try {
    return parseReference(text);
  } catch (error) {
    throw new Error(
      `there is no folder or file ${text} here; ${error instanceof Error ? error.message : String(error)}`,
    );
  }
}

/** Where `sign DIR` keeps what it made. */
const archivePath = (dir: string): string => join(outDirOf(dir), "plugin.tar");

/** The artifact of what was built now, with the signatures that an archive has of the same. */
async function archived(built: BuiltPlugin, path: string): Promise<Archived> {
  const packed = pack(built.manifest, readFileSync(built.path));
  const before = existsSync(path) ? await readArchive(path) : undefined;
  const same = before?.packed.descriptor.digest === packed.descriptor.digest;
  return { packed, signatures: same ? before.signatures : [] };
}

/** From the file that registries' clients share; credential helpers are not run. */
function credentialsFor(host: string): { username: string; password: string } | undefined {
  const path = join(process.env["DOCKER_CONFIG"] ?? join(homedir(), ".docker"), "config.json");
  if (!existsSync(path)) return undefined;
  const { auths = {} } = JSON.parse(readFileSync(path, "utf8")) as { auths?: Record<string, { auth?: string }> };
  const { auth } = auths[host] ?? auths[`https://${host}`] ?? {};
  if (!auth) return undefined;
  const [username = "", ...password] = Buffer.from(auth, "base64").toString("utf8").split(":");
  return { username, password: password.join(":") };
}

export const reference = (artifact: Archived): string => {
  const { plugin } = unpack(artifact.packed.manifest);
  return `${plugin.name}:${plugin.version}`;
};

function signed(artifact: Archived, name: string, key: string | undefined): Archived {
  if (key === undefined) return artifact;
  const made = signDigest(artifact.packed.descriptor.digest, name, readFileSync(key, "utf8"));
  const others = artifact.signatures.filter(({ signature }) => signature !== made.signature);
  return { ...artifact, signatures: [...others, made] };
}

export const keygen = {
  usage: "keygen NAME",
  help: "an ed25519 pair: NAME.key, which signs, and NAME.pub, which others trust",
  async run(_: PluginOptions, positionals: string[]): Promise<number> {
    const name = only(positionals, "a name for the files", this.usage);
    const { privateKey, publicKey } = generateKeys();
    // Never over a key that may have signed something.
    writeFileSync(`${name}.key`, privateKey, { mode: 0o600, flag: "wx" });
    writeFileSync(`${name}.pub`, publicKey, { flag: "wx" });
    say(`made ${name}.key (keep it) and ${name}.pub  ${fingerprint(publicKeyOf(publicKey))}`);
    return 0;
  },
};

export const sign = {
  usage: "sign DIR|FILE|REFERENCE --key FILE",
  help: "signs the artifact's digest",
  async run(options: PluginOptions, positionals: string[]): Promise<number> {
    const { key } = options;
    const text = only(positionals, "a folder, an archive or a reference", this.usage);
    if (key === undefined) throw new UserError("sign needs --key", "npx capstan plugin keygen mykey");
    const target = await targetOf(text, buildOptions(options));
    if (target.kind === "registry") {
      const { reference: at, registry } = target;
      const digest = at.digest || (await pullArtifact(registry, at.tag)).packed.descriptor.digest;
      await pushSignatures(registry, digest, [signDigest(digest, text, readFileSync(key, "utf8"))]);
      say(`signed ${digest}`);
      return 0;
    }
    const path = target.kind === "file" ? target.path : archivePath(target.dir);
    await writeArchive(path, signed(target.artifact, reference(target.artifact), key), reference(target.artifact));
    say(`signed ${target.artifact.packed.descriptor.digest}\n  ${path}`);
    return 0;
  },
};

export const push = {
  usage: "push DIR|FILE REFERENCE [--key FILE]",
  help: "to an OCI registry, with its signatures",
  async run(options: PluginOptions, [from = "", to = "", ...more]: string[]): Promise<number> {
    const { key } = options;
    if (!from || !to || more.length > 0)
      throw new UserError("push takes what and where", `npx capstan plugin ${this.usage}`);
    const source = await targetOf(from, buildOptions(options));
    if (source.kind === "registry")
      throw new UserError("push takes a folder or an archive", `npx capstan plugin ${this.usage}`);
    const at = parseReference(to);
    const artifact = signed(source.artifact, to, key);
    const tag = at.tag || unpack(artifact.packed.manifest).plugin.version;
    await pushArtifact(new Registry(at, { credentials: credentialsFor(at.host) }), artifact, tag);
    const { digest } = artifact.packed.descriptor;
    const by = artifact.signatures.length > 0 ? "" : "  (not signed: npx capstan plugin sign)";
    say(`pushed ${at.host}/${at.repository}:${tag}@${digest}${by}`);
    return 0;
  },
};

export const save = {
  usage: "save DIR|REFERENCE FILE [--key FILE]",
  help: "the artifact with its signatures as one file, for machines without a registry",
  async run(options: PluginOptions, [from = "", to = "", ...more]: string[]): Promise<number> {
    const { key } = options;
    if (!from || !to || more.length > 0)
      throw new UserError("save takes what and where", `npx capstan plugin ${this.usage}`);
    const source = await targetOf(from, buildOptions(options));
    const found =
      source.kind === "registry"
        ? await pullArtifact(source.registry, source.reference.digest || source.reference.tag)
        : source.artifact;
    const artifact = signed(found, reference(found), key);
    await writeArchive(resolve(to), artifact, reference(artifact));
    say(`saved ${reference(artifact)} ${artifact.packed.descriptor.digest}\n  ${resolve(to)}`);
    return 0;
  },
};
