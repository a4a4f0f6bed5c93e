/** Which keys a tenant trusts: a ConfigMap of the tenant's own, each value an ed25519 public key in PEM. */
import type { KeyObject } from "node:crypto";
import type { KubeObject } from "../api/object.ts";
import { isReason } from "../api/status.ts";
import type { Client } from "../client/port.ts";
import { publicKeyOf } from "./signature.ts";

export const TRUSTED_KEYS = { namespace: "kube-system", name: "capstan-plugin-keys" } as const;
const CONFIG_MAPS = { group: "", version: "v1", resource: "configmaps" } as const;

type Keys = KubeObject & { data?: Record<string, string> };
const keyName = /^[A-Za-z0-9._-]{1,200}$/;

/** By name; empty where none is trusted. `client` is addressed at the tenant. Throws naming a key that is none. */
export async function trustedKeys(client: Client): Promise<Map<string, KeyObject>> {
  const keys = new Map<string, KeyObject>();
  const found = await client.get<Keys>(CONFIG_MAPS, TRUSTED_KEYS).catch((error: unknown) => {
    if (isReason(error, "NotFound")) return undefined;
    throw error;
  });
  for (const [name, pem] of Object.entries(found?.data ?? {})) keys.set(name, checked(name, pem));
  return keys;
}

function checked(name: string, pem: string): KeyObject {
  try {
    return publicKeyOf(pem);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`${name} in the ConfigMap ${TRUSTED_KEYS.namespace}/${TRUSTED_KEYS.name} is no key: ${why}`);
  }
}

/** Adds a key, or replaces the one of this name. Throws for what is no ed25519 public key. */
export async function trustKey(client: Client, name: string, pem: string): Promise<void> {
  if (!keyName.test(name)) throw new Error(`"${name}" is no name for a key: letters, digits, ".", "_" and "-"`);
  publicKeyOf(pem);
  const object: Keys = {
    apiVersion: "v1",
    kind: "ConfigMap",
    metadata: { ...TRUSTED_KEYS },
    data: { [name]: pem },
  };
  try {
    await client.patch(CONFIG_MAPS, TRUSTED_KEYS, { type: "merge", body: { data: { [name]: pem } } });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
    await client.create(CONFIG_MAPS, object);
  }
}
