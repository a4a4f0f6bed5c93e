/**
 * Writes objects anew as they would be stored now: in the version that is stored, encrypted as the configuration says. Works where
 * storagemigration.k8s.io is served (`--runtime-config`).
 */
import { messageOf } from "#platform/base/log.ts";
import type { CustomResourceDefinition, StorageVersionMigration } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController } from "#sdk/client/controller.ts";
import { type DiscoveredResource, discover } from "#sdk/client/discovery.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, type ControllerContext, clientFor } from "../context.ts";
import { CUSTOM_RESOURCE_DEFINITIONS } from "../resources.ts";
import { definitionDone, definitionRunning, isAbout, statusWith, stepFor, UNKNOWN_MS_MAX } from "./reconcile.ts";

const MIGRATIONS = { group: "storagemigration.k8s.io", version: "v1beta1", resource: "storageversionmigrations" };
const MANAGER = "storage-version-migrator-controller";
const VERBS = ["get", "list", "patch", "update", "watch"];
const PAGE = 500;
const UNKNOWN_RETRY_MS = 5_000;
/** A namespace that nobody has: an empty list tells the version, too. */
const NOWHERE = "fake-storage-version-migration";

export const storageVersionMigrator: Controller = {
  name: "storage-version-migrator",
  async start(context) {
    const { client, log, signal } = context;
    if (!(await isServed(client))) return await ended(signal);
    const queue = createWorkQueue();
    const migrations = createInformer<StorageVersionMigration>(client.tenant("*"), MIGRATIONS, { log });
    const ofTenant = (one: StorageVersionMigration) => migrations.list().filter((o) => tenantOf(o) === tenantOf(one));
    /** Who waits for its turn may have it now. */
    const look = (one: StorageVersionMigration) => {
      for (const other of ofTenant(one)) if (isAbout(one, other)) queue.add(keyOf(other));
    };
    migrations.on({ added: look, updated: look, deleted: look });
    await migrations.start(signal);
    await runController({
      name: "storage-version-migrator",
      queue,
      workers: 1,
      log,
      signal,
      async reconcile(key) {
        const migration = migrations.get(key);
        return migration && (await advance(context, migration, ofTenant(migration)));
      },
    });
  },
};

async function isServed(client: Client): Promise<boolean> {
  const { code } = await client.raw("GET", `/apis/${MIGRATIONS.group}/${MIGRATIONS.version}`);
  if (code !== 200 && code !== 404) throw new Error(`the API answered ${code}`);
  return code === 200;
}

const ended = (signal: AbortSignal): Promise<void> =>
  new Promise((resolve) => {
    if (signal.aborted) resolve();
    signal.addEventListener("abort", () => resolve(), { once: true });
  });

async function advance(
  context: ControllerContext,
  migration: StorageVersionMigration,
  others: readonly StorageVersionMigration[],
): Promise<{ requeueAfterMs: number } | undefined> {
  const client = clientFor(context, migration);
  const now = Date.now();
  const write = async (status: StorageVersionMigration["status"]) => {
    await client.update(MIGRATIONS, { ...migration, ...(status ? { status } : {}) }, { subresource: "status" });
  };
  const fail = (why: string) => write(statusWith(migration, "Failed", why, now));
  const step = stepFor(migration, others);
  if (step === "nothing") return undefined;
  if (step === "begin") {
    await writeDefinition(client, migration, (of) => definitionRunning(of, migration.metadata.name ?? "", now));
    await write(statusWith(migration, "Running", "The migration is running", now));
    return undefined;
  }
  if (step === "end") {
    const succeeded = migration.status?.conditions?.some((c) => c.type === "Succeeded" && c.status === "True") ?? false;
    await writeDefinition(client, migration, (of) => definitionDone(of, succeeded, now));
    await write(statusWith(migration, "Running", "Migration completed", now, "False"));
    return undefined;
  }
  const resource = await resourceOf(client, migration);
  if (!resource) {
    if (now - Date.parse(migration.metadata.creationTimestamp ?? "") < UNKNOWN_MS_MAX) {
      return { requeueAfterMs: UNKNOWN_RETRY_MS };
    }
    await fail("resource does not exist in discovery");
  } else if (!VERBS.every((verb) => resource.verbs.includes(verb))) {
    const { group, version, resource: name } = resource;
    const text = `${group}/${version}, Resource=${name}`;
    await fail(`resource ${JSON.stringify(text)} does not support discovery operations: [${VERBS.join(" ")}]`);
  } else if (step === "mark") {
    await write({ ...migration.status, resourceVersion: await versionNow(client, resource) });
  } else {
    const problem = await rewriteAll(client, resource, BigInt(migration.status?.resourceVersion ?? "0"));
    if (problem !== undefined) await fail(`migration encountered unhandled error: ${problem}`);
    else await write(statusWith(migration, "Succeeded", "", now));
  }
  return undefined;
}

async function resourceOf(client: Client, { spec }: StorageVersionMigration): Promise<DiscoveredResource | undefined> {
  const { group = "", resource } = spec?.resource ?? {};
  const { resources } = await discover(client);
  return resources.find((one) => one.group === group && one.resource === resource);
}

async function versionNow(client: Client, resource: DiscoveredResource): Promise<string> {
  const where = resource.namespaced ? { namespace: NOWHERE } : {};
  const { metadata } = await client.list(resource, { ...where, limit: 1, metadataOnly: true });
  return metadata.resourceVersion ?? "";
}

/** Objects that were last written at this revision or before. Answers what cannot be mended by trying again. */
async function rewriteAll(client: Client, resource: DiscoveredResource, until: bigint): Promise<string | undefined> {
  let next: string | undefined;
  do {
    const page = await client.list<KubeObject>(resource, {
      limit: PAGE,
      metadataOnly: true,
      ...(next ? { continue: next } : {}),
    });
    for (const { metadata } of page.items) {
      if (BigInt(metadata.resourceVersion ?? "0") > until) continue;
      try {
        await rewrite(client, resource, metadata);
      } catch (error) {
        // Somebody wrote it meanwhile, or removed it.
        if (isReason(error, "Conflict") || isReason(error, "NotFound")) continue;
        if (isTemporary(error)) throw error;
        return messageOf(error);
      }
    }
    next = page.metadata.continue || undefined;
  } while (next);
  return undefined;
}

async function rewrite(client: Client, resource: DiscoveredResource, metadata: KubeObject["metadata"]): Promise<void> {
  const { group, version, kind } = resource;
  const { namespace, name = "", uid, resourceVersion } = metadata;
  const apiVersion = group === "" ? version : `${group}/${version}`;
  const body = { apiVersion, kind, metadata: { uid, resourceVersion } } as KubeObject;
  const where = namespace === undefined ? { name } : { namespace, name };
  await client.patch(resource, where, { type: "apply", body, fieldManager: MANAGER });
}

const TEMPORARY = ["ServerTimeout", "TooManyRequests", "ServiceUnavailable", "InternalError", "Timeout"] as const;
const isTemporary = (error: unknown): boolean => TEMPORARY.some((reason) => isReason(error, reason));

/** Does nothing where the resource is built in. */
async function writeDefinition(
  client: Client,
  { spec }: StorageVersionMigration,
  statusOf: (definition: CustomResourceDefinition) => CustomResourceDefinition["status"],
): Promise<void> {
  const { group, resource } = spec?.resource ?? {};
  if (!group) return;
  let definition: CustomResourceDefinition;
  try {
    const name = `${resource}.${group}`;
    definition = await client.get<CustomResourceDefinition>(CUSTOM_RESOURCE_DEFINITIONS, { name });
  } catch (error) {
    if (isReason(error, "NotFound")) return;
    throw error;
  }
  const status = statusOf(definition);
  const changed = { ...definition, ...(status ? { status } : {}) };
  await client.update(CUSTOM_RESOURCE_DEFINITIONS, changed, { subresource: "status" });
}
