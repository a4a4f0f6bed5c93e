/** ControllerRevisions: the templates that StatefulSets and DaemonSets have had (upstream: pkg/controller/history). */
import { createHash } from "node:crypto";
import type { ControllerRevision, PodTemplateSpec } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { claim } from "./claim.ts";
import { controllerRef, sameJson } from "./objects.ts";
import { CONTROLLER_REVISIONS } from "./resources.ts";

/** Upstream's alphabet for generated names: no vowels, so no words. */
const ALPHABET = "bcdfghjklmnpqrstvwxz2456789";
const NAME_PREFIX_MAX = 223;

interface Owner extends KubeObject {
  spec?: { template?: PodTemplateSpec; selector?: { matchLabels?: Record<string, string> } };
}

/** Keys in order at every depth: clients compare a revision's bytes with what Go makes of the template. */
function sorted(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(sorted);
  if (typeof value !== "object" || value === null) return value;
  const entries = Object.entries(value).filter(([, v]) => v !== undefined);
  entries.sort(([a], [b]) => (a < b ? -1 : 1));
  return Object.fromEntries(entries.map(([k, v]) => [k, sorted(v)]));
}

/** A strategic merge patch that puts the template back. */
const patchOf = (template: PodTemplateSpec | undefined): Record<string, unknown> =>
  sorted({ spec: { template: { ...template, $patch: "replace" } } }) as Record<string, unknown>;

export function hashOf(template: PodTemplateSpec | undefined, collisions: number): string {
  const digest = createHash("sha256")
    .update(JSON.stringify(patchOf(template)))
    .update(String(collisions))
    .digest();
  return Array.from(digest.subarray(0, 10), (byte) => ALPHABET[byte % ALPHABET.length]).join("");
}

/** The template a revision holds. */
export function templateOf(revision: ControllerRevision): PodTemplateSpec {
  const data = revision.data as { spec?: { template?: PodTemplateSpec & { $patch?: string } } } | undefined;
  const { $patch: _, ...template } = data?.spec?.template ?? {};
  return template;
}

/** Newest last; of two with one number, the older first. */
export const byRevision = (a: ControllerRevision, b: ControllerRevision): number =>
  a.revision - b.revision ||
  Date.parse(a.metadata.creationTimestamp ?? "") - Date.parse(b.metadata.creationTimestamp ?? "") ||
  ((a.metadata.name ?? "") < (b.metadata.name ?? "") ? -1 : 1);

export interface HistoryInput<O extends Owner> {
  client: Client;
  owner: O;
  ownerResource: GroupVersionResource;
  /** Those the owner controls and those nobody controls, of its namespace. */
  candidates: readonly ControllerRevision[];
  collisions: number;
  /** The label that carries the hash. */
  hashLabel: string;
}

export interface History {
  /** Newest last, the update revision among them. */
  revisions: ControllerRevision[];
  update: ControllerRevision;
  collisions: number;
}

/** The revision of the present template, made or moved to the end where it has to be. */
export async function syncHistory<O extends Owner>(input: HistoryInput<O>): Promise<History> {
  const { client, owner } = input;
  const claimed = await claim({
    client,
    owner,
    ownerResource: input.ownerResource,
    resource: CONTROLLER_REVISIONS,
    selector: owner.spec?.selector,
    candidates: input.candidates,
  });
  const revisions = claimed.toSorted(byRevision);
  const data = patchOf(owner.spec?.template);
  const next = (revisions.at(-1)?.revision ?? 0) + 1;
  const same = revisions.findLast((revision) => sameJson(revision.data, data));
  if (same && same === revisions.at(-1)) return { revisions, update: same, collisions: input.collisions };
  if (same) {
    const update = await client.update(CONTROLLER_REVISIONS, { ...same, revision: next });
    return {
      revisions: [...revisions.filter((r) => r !== same), update],
      update,
      collisions: input.collisions,
    };
  }
  const { update, collisions } = await createRevision(input, data, next);
  return { revisions: [...revisions, update], update, collisions };
}

/** A name that is taken by other data counts a collision, and the next name is tried. */
async function createRevision(
  { client, owner, collisions, hashLabel }: HistoryInput<Owner>,
  data: Record<string, unknown>,
  revision: number,
): Promise<{ update: ControllerRevision; collisions: number }> {
  for (; ; collisions++) {
    const hash = hashOf(owner.spec?.template, collisions);
    const wanted: ControllerRevision = {
      apiVersion: "apps/v1",
      kind: "ControllerRevision",
      metadata: {
        name: `${(owner.metadata.name ?? "").slice(0, NAME_PREFIX_MAX)}-${hash}`,
        namespace: owner.metadata.namespace,
        labels: { ...owner.spec?.template?.metadata?.labels, [hashLabel]: hash },
        annotations: withoutApplied(owner.metadata.annotations),
        ownerReferences: [controllerRef(owner)],
      },
      data: data as ControllerRevision["data"],
      revision,
    };
    try {
      return { update: await client.create(CONTROLLER_REVISIONS, wanted), collisions };
    } catch (error) {
      if (!isReason(error, "AlreadyExists")) throw error;
      const name = { namespace: owner.metadata.namespace, name: wanted.metadata.name ?? "" };
      const present = await client.get<ControllerRevision>(CONTROLLER_REVISIONS, name);
      if (sameJson(present.data, data)) return { update: present, collisions };
    }
  }
}

function withoutApplied(annotations: Record<string, string> | undefined): Record<string, string> {
  const { "kubectl.kubernetes.io/last-applied-configuration": _, ...kept } = annotations ?? {};
  return kept;
}

/** Those beyond the limit go, the oldest first, but none that is `live`. */
export async function trimHistory(
  client: Client,
  revisions: readonly ControllerRevision[],
  live: (revision: ControllerRevision) => boolean,
  limit: number,
): Promise<void> {
  const old = revisions.filter((revision) => !live(revision));
  for (const { metadata } of old.slice(0, Math.max(0, old.length - limit))) {
    try {
      await client.delete(CONTROLLER_REVISIONS, { namespace: metadata.namespace, name: metadata.name ?? "" });
    } catch (error) {
      if (!isReason(error, "NotFound")) throw error;
    }
  }
}
