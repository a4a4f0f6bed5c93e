/** Images of components for this machine's nodes, without a registry: built from a folder, or from a file. */
import { readFileSync, statSync } from "node:fs";
import { fullImageName } from "#platform/node/images.ts";
import { contentsOf, type ImageContents } from "#platform/node/wasm/image-contents.ts";
import { openImages } from "#platform/node/wasm/images.ts";
import { readArchive } from "#sdk/distribution/archive.ts";
import { buildPod } from "#sdk/pod/build.ts";
import { type Config, paths } from "./config.ts";
import { UserError } from "./steps.ts";

const WASM_MAGIC = Buffer.from([0, 0x61, 0x73, 0x6d]);

const bare = (component: Uint8Array): ImageContents => ({ component, entrypoint: [], cmd: [], env: [] });

/** Into every node of this machine; answers the name in full. */
function add(config: Config, name: string | undefined, contents: ImageContents): string {
  const full = name === undefined ? undefined : fullImageName(name);
  if (full === undefined)
    throw new UserError(`${name ?? "an image without a name"} is no name of an image`, "add: --name NAME:TAG");
  if (config.nodes.length === 0)
    throw new UserError("there is no node on this machine to load images into", "npm run down && npm run up");
  for (const node of config.nodes) openImages(paths(config.dataDir).wasm(node.name)).add(full, contents);
  return full;
}

/** A folder with pod.ts or go.mod (sdk/pod/build.ts). */
export async function imageBuild(config: Config, folder: string, name: string | undefined): Promise<string[]> {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory())
    throw new UserError(`there is no folder ${folder}`, "npx capstan image build FOLDER --name NAME:TAG");
  return [add(config, name, bare(await buildPod(folder)))];
}

/** A .wasm file, or an OCI archive of an artifact or image with a component. Undefined: the file is something else. */
export async function componentLoad(
  config: Config,
  file: string,
  name: string | undefined,
): Promise<string[] | undefined> {
  const bytes = readFileSync(file);
  if (WASM_MAGIC.equals(bytes.subarray(0, WASM_MAGIC.length))) return [add(config, name, bare(bytes))];
  if (config.nodes.length === 0 || !config.nodes.every(({ componentsOnly }) => componentsOnly)) return undefined;
  const { packed } = await readArchive(file);
  const blob = async (digest: string) => {
    const found = packed.blobs.find(({ descriptor }) => descriptor.digest === digest);
    if (!found) throw new Error(`${file} lacks ${digest}`);
    return found.bytes;
  };
  return [add(config, name, await contentsOf(packed.manifest, blob, blob))];
}
