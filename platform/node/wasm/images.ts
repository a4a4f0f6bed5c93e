/**
 * Images of components on this node: DIRECTORY/images/HEX.json says what an image is and is called, DIRECTORY/components/sha256-HEX.wasm is
 * its component. Others than the agent (`capstan image load`) add files; what is asked for is read again each time.
 */
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { digestOf } from "#sdk/distribution/digest.ts";
import { parseReference } from "#sdk/distribution/reference.ts";
import { Registry } from "#sdk/distribution/registry.ts";
import { transpiled } from "#sdk/engine/jco.ts";
import { type GuestSpec, isCoreModule } from "#sdk/engine/wasi/spec.ts";
import type { Image } from "../cri.ts";
import type { PullAuth } from "../ports.ts";
import { namesIn, readJson, writeWhole } from "./files.ts";
import { COMPONENT_BYTES_MAX, contentsOf, type ImageContents, MANIFEST_TYPES } from "./image-contents.ts";

export interface WasmImage extends Omit<ImageContents, "component"> {
  /** The manifest's digest; of one that came as a bare file, the component's. */
  id: string;
  names: string[];
  /** NAME@sha256:HEX; none for what came from a file, which nobody could get back. */
  repoDigests: string[];
  component: string;
  bytes: number;
}

export interface WasmImages {
  list(): Image[];
  /** By name or id. */
  find(image: string): WasmImage | undefined;
  /** Answers the image's id. Rejects with what the registry said, or with what the image is instead. */
  pull(name: string, auth: PullAuth | undefined): Promise<string>;
  /** A component (or core module) from a file under a name. */
  add(name: string, contents: ImageContents, id?: string, repoDigest?: string): WasmImage;
  remove(image: string): void;
  /** Ready to be run; transpiled once. */
  prepare(image: WasmImage): Promise<GuestSpec["component"]>;
}

/** Docker's name for its own registry is not the host that answers. */
const registryHost = (host: string): string => (host === "docker.io" ? "registry-1.docker.io" : host);

function credentialsOf(auth: PullAuth | undefined): { username: string; password: string } | undefined {
  if (auth?.username) return { username: auth.username, password: auth.password ?? "" };
  if (!auth?.auth) return undefined;
  const [username = "", ...rest] = Buffer.from(auth.auth, "base64").toString("utf8").split(":");
  return { username, password: rest.join(":") };
}

export function openImages(directory: string): WasmImages {
  const images = join(directory, "images");
  const components = join(directory, "components");
  mkdirSync(components, { recursive: true, mode: 0o700 });
  const fileOf = (id: string) => join(images, `${id.replace("sha256:", "")}.json`);
  const componentFile = (digest: string) => join(components, `${digest.replace(":", "-")}.wasm`);
  const all = () => namesIn(images).flatMap((name) => readJson<WasmImage>(join(images, name)) ?? []);
  const find = (image: string) =>
    all().find(({ id, names, repoDigests }) => [id, ...names, ...repoDigests].includes(image));

  const add: WasmImages["add"] = (name, { component, entrypoint, cmd, env }, id, repoDigest) => {
    const digest = digestOf(component);
    if (!existsSync(componentFile(digest))) writeWhole(componentFile(digest), component);
    // A name moves to the image that has it now.
    for (const other of all())
      if (other.names.includes(name))
        writeWhole(fileOf(other.id), JSON.stringify({ ...other, names: other.names.filter((one) => one !== name) }));
    const known = readJson<WasmImage>(fileOf(id ?? digest));
    const image: WasmImage = {
      id: id ?? digest,
      names: [...new Set([...(known?.names ?? []), name])],
      repoDigests: [...new Set([...(known?.repoDigests ?? []), ...(repoDigest === undefined ? [] : [repoDigest])])],
      component: digest,
      bytes: component.length,
      entrypoint,
      cmd,
      env,
    };
    writeWhole(fileOf(image.id), JSON.stringify(image));
    return image;
  };

  return {
    list: () =>
      all().map(({ id, names, repoDigests, bytes }) => ({ id, repoTags: names, repoDigests, size: String(bytes) })),
    find,
    add,
    async pull(name, auth) {
      const { host, repository, tag, digest } = parseReference(name);
      const credentials = credentialsOf(auth);
      const registry = new Registry({ host: registryHost(host), repository }, credentials ? { credentials } : {});
      const manifest = await registry.manifest(digest || tag || "latest", MANIFEST_TYPES);
      if (manifest === undefined) throw new Error(`failed to resolve reference ${JSON.stringify(name)}: not found`);
      const id = digestOf(manifest);
      const blob = (wanted: string) => registry.blob(wanted, COMPONENT_BYTES_MAX);
      const manifestBy = async (wanted: string) => {
        const found = await registry.manifest(wanted, MANIFEST_TYPES);
        if (found === undefined) throw new Error(`the registry has no manifest ${wanted}`);
        return found;
      };
      const contents = await contentsOf(manifest, blob, manifestBy).catch((error: unknown) => {
        throw new Error(
          `image ${JSON.stringify(name)} cannot run here: ${error instanceof Error ? error.message : error}`,
        );
      });
      return add(name, contents, id, `${host}/${repository}@${id}`).id;
    },
    remove(image) {
      const found = find(image);
      if (found === undefined) return;
      rmSync(fileOf(found.id), { force: true });
      if (!all().some(({ component }) => component === found.component))
        rmSync(componentFile(found.component), { force: true });
    },
    async prepare(image) {
      const path = componentFile(image.component);
      const bytes = readFileSync(path);
      if (isCoreModule(bytes)) return { module: path };
      return { folder: await transpiled(bytes, image.component, components, "sync") };
    },
  };
}
