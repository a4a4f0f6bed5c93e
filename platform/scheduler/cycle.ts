/** From the queue to bindings: pods of one class are decided about together as long as that is what one by one would give. */
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Pod } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { type Client, tenantOf } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import type { Asker } from "./answers.ts";
import { questionOf, type Refusal, type Search } from "./decide.ts";
import type { Demand, PodFacts, SchedulingPlugins } from "./framework.ts";
import { createGangCycle } from "./gang-cycle.ts";
import { type Gang, type Gangs, isComplete } from "./gangs.ts";
import type { GroupDecision } from "./group-status.ts";
import { fitMessage, NO_NODES, preemptionMessage } from "./messages.ts";
import type { SchedulerTable } from "./node-table.ts";
import { PermitRefused } from "./permits.ts";
import { type Candidate, cannotBeToldApart, createPlacer, type Keeper } from "./place.ts";
import type { Preemptor } from "./preempt.ts";
import { ALL_EVENTS, type QueuedPod, type SchedulingEvent, type SchedulingQueue } from "./queue.ts";
import { type Attempts, noTraces, type Traces } from "./traces.ts";

export const SCHEDULER_NAME = "default-scheduler";
export const schedulerOf = (pod: Pod): string => pod.spec?.schedulerName ?? SCHEDULER_NAME;

const PODS = { group: "", version: "v1", resource: "pods" };
/** Bindings under way at once; the next decision waits for a place. */
const BINDINGS_MAX = 128;
export interface CycleOptions {
  client: Client;
  /** By the name of the scheduler that a pod asks for. */
  profiles: ReadonlyMap<string, { plugins: SchedulingPlugins; search: Search }>;
  table: SchedulerTable;
  queue: SchedulingQueue;
  preemptor: Preemptor;
  gangs: Gangs;
  asker: Asker;
  traces: Traces;
  recorder: Recorder;
  log: Log;
  /** The pod as it is now, where it still waits for a node of this scheduler. */
  waiting(key: string): Pod | undefined;
  facts(pod: Pod): PodFacts;
  /** What plugins are told that it asks for. */
  demand(pod: Pod): Demand;
  /** Of a gang that was decided about. */
  tellGang(gang: Gang, reason: GroupDecision, message: string): void;
  reservations: Reservations;
}

/** What a pod has of its own on its node, from the decision until it is bound there. */
export interface Reservations {
  /** Throws where it is not to be had any more. */
  reserve(key: string, pod: Pod, node: number): void;
  /** Whoever has a say about binding it now; undefined: nobody. Rejects with PermitRefused. */
  permit(key: string, pod: Pod, node: string): Promise<void> | undefined;
  /** What has to be written and awaited before it is bound. */
  prepare(key: string, pod: Pod, node: string): Promise<void>;
  bound(key: string): void;
  /** It is not bound there. */
  release(key: string, pod: Pod): Promise<void>;
  /** It fits nowhere: true where something was given back that may have been in its way. */
  giveBack(key: string, pod: Pod): Promise<boolean>;
}

export interface Cycle {
  /** Decides about a pod that was taken from the queue, and perhaps about others like it. */
  schedule(item: QueuedPod): Promise<void>;
  /** Binds a pod to this node where every filter lets it pass; else answers what they said. */
  placeOn(pod: Pod, key: string, node: number): Promise<string | undefined>;
  /** Resolves when the bindings under way are over. */
  settled(): Promise<void>;
  readonly attempts: Attempts;
}

const selecting = (pod: Pod, spec: NonNullable<Pod["spec"]>, labels: Readonly<Record<string, string>>): Pod => ({
  ...pod,
  spec: { ...spec, nodeSelector: { ...spec.nodeSelector, ...labels } },
});

export function createCycle(options: CycleOptions): Cycle {
  const { client, table, queue, recorder, log, reservations } = options;
  const bindings = new Set<Promise<void>>();
  const held = new Set<Promise<void>>();
  const keeper: Keeper = {
    reserve: ({ item, pod }, node) => reservations.reserve(item.key, pod, node),
    giveUp: ({ item, pod }) => giveUp(item.key, pod),
  };
  const placer = createPlacer(table, options.traces, keeper);
  const attempts: Attempts = { scheduled: 0, unschedulable: 0, error: 0, conflict: 0 };

  /** `within`: labels that its node must have, too. */
  const candidateOf = (item: QueuedPod, within?: Readonly<Record<string, string>>): Candidate | undefined => {
    const pod = options.waiting(item.key);
    if (!pod) return undefined;
    const profile = options.profiles.get(schedulerOf(pod));
    if (!profile) return undefined;
    const asked = within && pod.spec ? selecting(pod, pod.spec, within) : pod;
    const question = questionOf(options.facts(asked), options.demand(asked), profile.plugins, table);
    return { item, pod, question, search: profile.search };
  };

  /** The next ones in the queue that cannot be told apart from the first; then those further behind that look like it. */
  const others = (first: Candidate, count: number): Candidate[] => {
    const found: Candidate[] = [];
    let like: Candidate | undefined;
    const test = (next: QueuedPod): boolean => {
      if (table.nominatedNode(next.key) !== undefined || options.gangs.of(next.key)) return false;
      like = candidateOf({ ...next });
      return like === undefined || cannotBeToldApart(like, first);
    };
    let take = () => queue.takeIf(test);
    while (found.length < count) {
      let item = take();
      if (!item) {
        take = () => queue.takeLike(first.item, test);
        item = take();
      }
      if (!item) break;
      if (like) found.push({ ...like, item });
      else queue.done(item.key);
    }
    return found;
  };

  /** The pod does not go to the node that it was given. */
  const giveUp = (key: string, pod: Pod) => {
    table.forget(key);
    void reservations.release(key, pod).catch((error) => {
      log.warn("what was reserved for a pod was not given back", { key, error: messageOf(error) });
    });
  };

  const scheduleAlone = async (first: Candidate): Promise<void> => {
    const nominated = table.nominatedNode(first.item.key);
    let batch = [first];
    try {
      // What is kept free for it does not stand in its own way.
      if (nominated) table.forget(first.item.key);
      if (!nominated) batch.push(...others(first, placer.size(first.question) - 1));
      const { placed, refusal } = await placer.place(batch);
      batch = batch.slice(placed.length);
      for (const [{ item, pod }, node] of placed) await bind(item, pod, node);
      if (refusal) await fail(batch, refusal, nominated);
    } catch (error) {
      for (const { item, pod } of batch) await refuse(item, pod, "SchedulerError", messageOf(error));
    }
  };

  const schedule = async (item: QueuedPod): Promise<void> => {
    let first: Candidate | undefined;
    try {
      first = candidateOf(item);
    } catch (error) {
      return await refuse(item, item.pod, "SchedulerError", messageOf(error));
    }
    if (!first) return queue.done(item.key);
    const gang = options.gangs.of(item.key);
    if (!gang) return await scheduleAlone(first);
    // Some were lost since it was queued: it is queued again when enough are there.
    if (!isComplete(gang)) return queue.done(item.key);
    await scheduleGang(gang, first);
  };

  const fail = async (
    [first, ...rest]: Candidate[],
    { failures, until }: Refusal,
    nominated: string | undefined,
  ): Promise<void> => {
    const { item, pod, question, search } = first!;
    const count = table.ids().length;
    if (nominated) table.nominate(item.key, pod, nominated);
    if (await reservations.giveBack(item.key, pod)) {
      for (const other of rest) queue.giveBack(other.item);
      return await refuse(item, pod, "Unschedulable", fitMessage(count, failures.values()), ALL_EVENTS);
    }
    if (await options.preemptor.preempt(item.key, pod, question, search, failures, nominated)) {
      for (const other of rest) queue.giveBack(other.item);
      return await refuse(item, pod, "Unschedulable", fitMessage(count, failures.values()), ALL_EVENTS);
    }
    const never = pod.spec?.preemptionPolicy === "Never";
    const victims = (id: number) => table.hasLowerPriority(id, pod.spec?.priority ?? 0);
    const message =
      count === 0 ? NO_NODES : fitMessage(count, failures.values(), preemptionMessage(failures, never, victims));
    for (const other of [first!, ...rest]) await refuse(other.item, other.pod, "Unschedulable", message, until);
  };

  const bind = async (item: QueuedPod, pod: Pod, node: string) => {
    const permit = reservations.permit(item.key, pod, node);
    // Who is held takes nobody's place among the bindings.
    if (permit)
      follow(
        permit.then(
          () => sendBinding(item, pod, node),
          (error) => failBinding(item, pod, error),
        ),
        held,
      );
    else follow(sendBinding(item, pod, node), bindings);
    while (bindings.size >= BINDINGS_MAX) await Promise.race(bindings);
  };
  const follow = (work: Promise<void>, among: Set<Promise<void>>) => {
    const followed = work.finally(() => among.delete(followed));
    among.add(followed);
  };

  const sendBinding = async (item: QueuedPod, pod: Pod, node: string) => {
    const { namespace, name = "", uid } = pod.metadata;
    const target = { apiVersion: "v1", kind: "Node", name: node };
    const binding = { apiVersion: "v1", kind: "Binding", metadata: { namespace, name, uid }, target };
    try {
      await reservations.prepare(item.key, pod, node);
      await client.tenant(tenantOf(pod)).create(PODS, binding, { subresource: "binding", name });
      reservations.bound(item.key);
      queue.done(item.key);
      attempts.scheduled++;
      recorder.event(pod, "Normal", "Scheduled", `Successfully assigned ${namespace}/${name} to ${node}`);
    } catch (error) {
      await failBinding(item, pod, error);
    }
  };

  const failBinding = async (item: QueuedPod, pod: Pod, error: unknown) => {
    giveUp(item.key, pod);
    if (error instanceof PermitRefused) return await refuse(item, pod, "Unschedulable", error.message, ALL_EVENTS);
    if (isReason(error, "NotFound")) return queue.done(item.key);
    // Another scheduler was first, or the node is full by now: what the watch shows next decides.
    if (isReason(error, "Conflict")) {
      attempts.conflict++;
      return queue.failed(item, []);
    }
    await refuse(item, pod, "SchedulerError", `binding rejected: ${messageOf(error)}`);
  };

  /** `until`: what may change it; nothing: it is tried again after a while. */
  const refuse = async (
    item: QueuedPod,
    pod: Pod,
    reason: "Unschedulable" | "SchedulerError",
    message: string,
    until: readonly SchedulingEvent[] = [],
  ) => {
    attempts[reason === "Unschedulable" ? "unschedulable" : "error"]++;
    recorder.event(pod, "Warning", "FailedScheduling", message);
    try {
      await sayWhy(client, pod, reason, message);
    } catch (error) {
      log.debug("a pod's condition was not written", { key: item.key, error: messageOf(error) });
    }
    queue.failed(item, until);
  };

  const placeOn = async (pod: Pod, key: string, node: number): Promise<string | undefined> => {
    const [profile] = options.profiles.values();
    if (!profile) return "there is no profile";
    const question = questionOf(options.facts(pod), options.demand(pod), profile.plugins, table);
    for (const { plugin } of question.filters) await options.asker.sync(plugin);
    const { failures } = await profile.search.filter(question, [node]);
    const refusal = failures.get(node);
    if (refusal) return refusal.reasons.join(", ");
    const name = table.nameOf(node);
    table.assume(key, pod, name);
    try {
      reservations.reserve(key, pod, node);
    } catch (error) {
      giveUp(key, pod);
      return messageOf(error);
    }
    await bind({ key, pod, attempts: 1, arrived: 0 }, pod, name);
    return undefined;
  };

  const scheduleGang = createGangCycle(options, {
    placer,
    trials: createPlacer(table, noTraces, keeper),
    candidateOf,
    giveUp,
    bind,
    refuse,
  });

  return {
    schedule,
    placeOn,
    attempts,
    async settled() {
      await Promise.all([...bindings, ...held]);
    },
  };
}

/** The condition PodScheduled, where it doesn't say so already. */
async function sayWhy(client: Client, pod: Pod, reason: string, message: string): Promise<void> {
  const present = pod.status?.conditions?.find((c) => c.type === "PodScheduled");
  if (present?.status === "False" && present.reason === reason && present.message === message) return;
  const now = `${new Date().toISOString().slice(0, 19)}Z`;
  const lastTransitionTime = present?.status === "False" ? (present.lastTransitionTime ?? now) : now;
  const condition = { type: "PodScheduled", status: "False", reason, message, lastProbeTime: null, lastTransitionTime };
  const { namespace, name = "" } = pod.metadata;
  const body = { metadata: { uid: pod.metadata.uid }, status: { conditions: [condition] } };
  await client
    .tenant(tenantOf(pod))
    .patch(PODS, { namespace, name }, { type: "strategic", body }, { subresource: "status" });
}
