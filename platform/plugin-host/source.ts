/**
 * Where the bytes of a component come from, and whether they may be compiled. Without a source: a file beside the platform, put there by its
 * operator. With one: an OCI artifact, from what is kept here or from its registry, whose digest one of the owner's trusted keys has signed.
 * Nothing of it is parsed as a component before that.
 */
import type { KeyObject } from "node:crypto";
import { join } from "node:path";
import type { Client } from "#sdk/client/port.ts";
import { COMPONENT_BYTES_MAX, unpack } from "#sdk/distribution/artifact.ts";
import { parseReference } from "#sdk/distribution/reference.ts";
import { Registry } from "#sdk/distribution/registry.ts";
import { trustedBy } from "#sdk/distribution/signature.ts";
import { ArtifactStore } from "#sdk/distribution/store.ts";
import { pullSignatures } from "#sdk/distribution/transfer.ts";
import { trustedKeys } from "#sdk/distribution/trust.ts";
import type { PluginSpec } from "#sdk/plugin/manifest.ts";
import { guarded } from "./capabilities/http.ts";
import { fetchVerified } from "./checks.ts";

const REGISTRY_MS = 30_000;

export type ComponentSource = (
  tenant: string,
  spec: Pick<PluginSpec, "digest" | "source">,
  /** The component is compiled already: its bytes are not asked for, the signature is. */
  compiled: boolean,
) => Promise<Uint8Array | undefined>;

/** Below the components' directory. */
export const artifactsDir = (componentsDir: string): string => join(componentsDir, "oci");

/** `client`: reads the trusted keys in the owner's tenant; left out: no artifact is trusted. */
export function createSource(componentsDir: string, client: Client | undefined): ComponentSource {
  const store = new ArtifactStore(artifactsDir(componentsDir));
  return async (tenant, spec, compiled) => {
    if (!spec.source) return compiled ? undefined : await fetchVerified(componentsDir, spec.digest);
    const registry = registryOf(spec.source.repository, tenant);
    const { manifest } = spec.source;
    const keys = client ? await trustedKeys(client.tenant(tenant)) : new Map<string, KeyObject>();
    await checkSignature(store, registry, manifest, keys);
    const bytes = store.read(manifest) ?? (await registry?.manifest(manifest));
    if (!bytes)
      throw new Error(`the artifact ${manifest} is neither here nor in ${spec.source.repository ?? "a registry"}`);
    const { component } = unpack(bytes);
    if (component.digest !== spec.digest)
      throw new Error(`the artifact's component is ${component.digest}, not ${spec.digest}`);
    store.write(manifest, bytes);
    if (compiled) return undefined;
    const code = store.read(spec.digest) ?? (await registry?.blob(spec.digest, COMPONENT_BYTES_MAX));
    if (!code) throw new Error(`the component ${spec.digest} is not here: import it, or name its registry`);
    store.write(spec.digest, code);
    return code;
  };
}

function registryOf(repository: string | undefined, tenant: string): Registry | undefined {
  if (repository === undefined) return undefined;
  // What a tenant names must not lead to the machine that the platform runs on.
  const options = tenant === "root" ? {} : { lookup: guarded };
  return new Registry(parseReference(repository), { ...options, timeoutMs: REGISTRY_MS });
}

async function checkSignature(
  store: ArtifactStore,
  registry: Registry | undefined,
  manifest: string,
  keys: Map<string, KeyObject>,
): Promise<void> {
  const kept = store.signatures(manifest);
  if (trustedBy(manifest, kept, keys)) return;
  const pulled = registry ? await pullSignatures(registry, manifest) : [];
  const all = [...kept, ...pulled];
  if (!trustedBy(manifest, all, keys)) {
    const names = [...keys.keys()].join(", ") || "none";
    throw new Error(
      `${all.length === 0 ? "it is not signed" : "none of its signatures is by a trusted key"} (trusted: ${names})`,
    );
  }
  store.writeSignatures(manifest, all);
}
