/**
 * Events about objects (core/v1), correlated as client-go's tools/record does: an event seen before raises its count; many
 * that differ only in their text become one "(combined from similar events)"; an object that causes too many is
 * muted for a while. Recording never waits and never fails its caller.
 */
import type { GroupVersionResource, KubeObject } from "../api/object.ts";
import { isReason } from "../api/status.ts";
import { type ClientLog, messageOf, noLog } from "./log.ts";
import { type Client, tenantOf } from "./port.ts";

export const EVENTS: GroupVersionResource = { group: "", version: "v1", resource: "events" };

export interface ObjectReference {
  apiVersion?: string;
  kind?: string;
  namespace?: string;
  name?: string;
  uid?: string;
  resourceVersion?: string;
  fieldPath?: string;
}

export interface CoreEvent extends KubeObject {
  involvedObject: ObjectReference;
  reason: string;
  message: string;
  type: "Normal" | "Warning";
  source: { component: string; host?: string };
  reportingComponent: string;
  reportingInstance: string;
  firstTimestamp: string;
  lastTimestamp: string;
  count: number;
}

export interface Recorder {
  /** `fieldPath` names a part of the object, as in "spec.containers{web}". */
  event(
    object: KubeObject,
    type: "Normal" | "Warning",
    reason: string,
    message: string,
    more?: { fieldPath?: string },
  ): void;
  /** Resolves when everything recorded so far was sent or given up. */
  flush(): Promise<void>;
}

export interface RecorderOptions {
  client: Client;
  /** "deployment-controller", "default-scheduler", "kubelet". */
  component: string;
  host?: string;
  log?: ClientLog;
  /** True where objects are read through the wildcard: an event goes to its object's tenant. */
  perTenant?: boolean;
}

const KEPT_MAX = 4096;
const QUEUE_MAX = 1000;
const SIMILAR_MAX = 10;
const SIMILAR_WINDOW_MS = 600_000;
/** A burst of 25 for one object, then one in five minutes. */
const SPAM_BURST = 25;
const SPAM_REFILL_MS = 300_000;
const MESSAGE_LENGTH_MAX = 1024;

export function createRecorder(options: RecorderOptions): Recorder {
  const { client, component, host, log = noLog } = options;
  const seen = createRecent<CoreEvent>();
  const similar = createRecent<{ messages: Set<string>; at: number }>();
  const buckets = createRecent<{ tokens: number; at: number }>();
  const queue: { tenant: string; event: CoreEvent; key: string }[] = [];
  let sending: Promise<void> | undefined;

  const muted = (key: string, now: number): boolean => {
    const bucket = buckets.get(key) ?? { tokens: SPAM_BURST, at: now };
    const tokens = Math.min(SPAM_BURST, bucket.tokens + (now - bucket.at) / SPAM_REFILL_MS);
    buckets.set(key, { tokens: tokens >= 1 ? tokens - 1 : tokens, at: now });
    return tokens < 1;
  };
  /** True from the eleventh different text within ten minutes on. */
  const combined = (group: string, message: string, now: number): boolean => {
    const present = similar.get(group);
    const record = present && now - present.at < SIMILAR_WINDOW_MS ? present : { messages: new Set<string>(), at: now };
    record.at = now;
    if (record.messages.size < SIMILAR_MAX) record.messages.add(message);
    similar.set(group, record);
    return record.messages.size >= SIMILAR_MAX && !record.messages.has(message);
  };

  const send = async () => {
    for (let next = queue.shift(); next; next = queue.shift()) {
      const at = options.perTenant ? client.tenant(next.tenant) : client;
      try {
        const event = seen.get(next.key) ?? next.event;
        const sent = await (event.metadata.uid ? raise(at, event) : at.create(EVENTS, event));
        // It may have happened again meanwhile: only what the server alone knows is taken over.
        seen.set(next.key, { ...(seen.get(next.key) ?? sent), metadata: sent.metadata });
      } catch (error) {
        // The namespace may be ending, or the server away: an event is a courtesy.
        log.debug("an event was not recorded", { reason: next.event.reason, error: messageOf(error) });
      }
    }
  };

  return {
    event(object, type, reason, message, more) {
      const now = Date.now();
      const text = message.slice(0, MESSAGE_LENGTH_MAX);
      const about = referenceTo(object, more?.fieldPath);
      const group = JSON.stringify([
        tenantOf(object),
        about.kind,
        about.namespace,
        about.name,
        about.uid,
        about.fieldPath,
        type,
        reason,
      ]);
      if (
        queue.length >= QUEUE_MAX ||
        muted(JSON.stringify([tenantOf(object), about.uid, about.name, about.kind]), now)
      )
        return;
      const merged = combined(group, text, now);
      const key = merged ? group : `${group}${text}`;
      const time = `${new Date(now).toISOString().slice(0, 19)}Z`;
      const known = seen.get(key);
      const namespace = about.namespace || "default";
      const event: CoreEvent = {
        apiVersion: "v1",
        kind: "Event",
        metadata: known?.metadata ?? {
          name: `${about.name}.${(BigInt(now) * 1_000_000n + nanos()).toString(16)}`,
          namespace,
        },
        involvedObject: about,
        reason,
        message: merged ? `(combined from similar events): ${text}`.slice(0, MESSAGE_LENGTH_MAX) : text,
        type,
        source: { component, ...(host ? { host } : {}) },
        reportingComponent: component,
        reportingInstance: host ?? "",
        firstTimestamp: known?.firstTimestamp ?? time,
        lastTimestamp: time,
        count: (known?.count ?? 0) + 1,
      };
      seen.set(key, event);
      queue.push({ tenant: tenantOf(object), event, key });
      sending ??= send().finally(() => {
        sending = undefined;
      });
    },
    flush: async () => {
      while (sending) await sending;
    },
  };
}

/** Raises the count of an event that is there; one that expired meanwhile is made again. */
async function raise(client: Client, event: CoreEvent): Promise<CoreEvent> {
  const name = { namespace: event.metadata.namespace, name: event.metadata.name ?? "" };
  const body = { count: event.count, lastTimestamp: event.lastTimestamp, message: event.message };
  try {
    return await client.patch<CoreEvent>(EVENTS, name, { type: "merge", body });
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
    return client.create<CoreEvent>(EVENTS, { ...event, metadata: name });
  }
}

function referenceTo(object: KubeObject, fieldPath: string | undefined): ObjectReference {
  const { namespace, name, uid, resourceVersion } = object.metadata;
  return {
    apiVersion: object.apiVersion,
    kind: object.kind,
    ...(namespace ? { namespace } : {}),
    name,
    uid,
    resourceVersion,
    ...(fieldPath ? { fieldPath } : {}),
  };
}

let sequence = 0n;
/** Keeps the names of events of the same millisecond apart. */
const nanos = (): bigint => {
  sequence = (sequence + 1n) % 1_000_000n;
  return sequence;
};

/** The most recently used entries of a map, bounded. */
function createRecent<V>(): { get(key: string): V | undefined; set(key: string, value: V): void } {
  const entries = new Map<string, V>();
  return {
    get: (key) => entries.get(key),
    set(key, value) {
      entries.delete(key);
      entries.set(key, value);
      if (entries.size > KEPT_MAX) entries.delete(entries.keys().next().value!);
    },
  };
}
