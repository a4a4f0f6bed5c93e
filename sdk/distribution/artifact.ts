/**
 * A plugin as an OCI artifact, in the layout that the ecosystem has for components (config application/vnd.wasm.config.v0+json, one layer
 * application/wasm); the plugin's manifest is an annotation, so that the digest of the whole, which is what is signed, covers it.
 */
import { z } from "zod";
import { type Manifest, parseManifest } from "../plugin/manifest.ts";
import { type Descriptor, DIGEST, describe, verified } from "./digest.ts";

export const OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json";
const WASM_CONFIG = "application/vnd.wasm.config.v0+json";
const WASM = "application/wasm";
const PLUGIN_ANNOTATION = "dev.capstan.plugin.manifest";
/** What of a registry is read. */
export const MANIFEST_BYTES_MAX: number = 1024 * 1024;
export const COMPONENT_BYTES_MAX: number = 64 * 1024 * 1024;

const descriptorSchema = z.object({
  mediaType: z.string(),
  digest: z.string().regex(DIGEST),
  size: z.number().int().min(0),
  annotations: z.record(z.string(), z.string()).optional(),
});

export const imageManifestSchema = z.object({
  schemaVersion: z.literal(2),
  mediaType: z.string().optional(),
  config: descriptorSchema,
  layers: z.array(descriptorSchema).max(100),
  annotations: z.record(z.string(), z.string()).optional(),
});
export type ImageManifest = z.infer<typeof imageManifestSchema>;

export interface Blob {
  descriptor: Descriptor;
  bytes: Uint8Array;
}

export interface Packed {
  /** The image manifest's descriptor: what is signed, and what a Plugin names. */
  descriptor: Descriptor;
  manifest: Uint8Array;
  blobs: Blob[];
}

export const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
export const decode = (bytes: Uint8Array): unknown => JSON.parse(new TextDecoder().decode(bytes));

/** Keys in order: the same plugin is the same bytes. */
function ordered(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(ordered);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([key, inner]) => [key, ordered(inner)]));
}

export function pack(plugin: Manifest, component: Uint8Array): Packed {
  const layer = { descriptor: describe(WASM, component), bytes: component };
  // No time of creation: the same plugin has the same digest.
  const configBytes = encode({
    architecture: "wasm",
    os: "wasip2",
    layerDigests: [layer.descriptor.digest],
    component: { exports: plugin.worlds.map((world) => `capstan:plugin/${world}`), imports: [], target: null },
  });
  const config = { descriptor: describe(WASM_CONFIG, configBytes), bytes: configBytes };
  const manifest = encode({
    schemaVersion: 2,
    mediaType: OCI_MANIFEST,
    config: config.descriptor,
    layers: [layer.descriptor],
    annotations: {
      "org.opencontainers.image.title": plugin.name,
      "org.opencontainers.image.version": plugin.version,
      "org.opencontainers.image.description": plugin.description,
      [PLUGIN_ANNOTATION]: JSON.stringify(ordered(plugin)),
    },
  });
  return { descriptor: describe(OCI_MANIFEST, manifest), manifest, blobs: [config, layer] };
}

export interface Unpacked {
  plugin: Manifest;
  component: Descriptor;
}

/** Throws where it is no plugin. */
export function unpack(manifest: Uint8Array): Unpacked {
  const parsed = imageManifestSchema.safeParse(decode(manifest));
  if (!parsed.success) throw new Error(`it is no OCI image manifest: ${z.prettifyError(parsed.error)}`);
  const { layers, annotations } = parsed.data;
  const component = layers.find(({ mediaType }) => mediaType === WASM);
  const text = annotations?.[PLUGIN_ANNOTATION];
  if (!component || text === undefined) throw new Error("it is no plugin: it lacks the component or the manifest");
  if (component.size > COMPONENT_BYTES_MAX)
    throw new Error(`its component has ${component.size} bytes, of at most ${COMPONENT_BYTES_MAX}`);
  return { plugin: parseManifest(JSON.parse(text)), component };
}

/** The component of a packed plugin, checked. */
export function componentOf(packed: Packed): Uint8Array {
  const { component } = unpack(packed.manifest);
  const blob = packed.blobs.find(({ descriptor }) => descriptor.digest === component.digest);
  if (!blob) throw new Error(`the component ${component.digest} is missing`);
  return verified(blob.bytes, component.digest, "the component");
}
