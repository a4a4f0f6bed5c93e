/** Keeps one pod on every node that a DaemonSet selects (upstream: pkg/controller/daemon). */
import { messageOf } from "#platform/base/log.ts";
import type { ControllerRevision, DaemonSet, Node, Pod } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import { runController } from "#sdk/client/controller.ts";
import { type Client, keyOf } from "#sdk/client/port.ts";
import type { Recorder } from "#sdk/client/recorder.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { claim } from "../claim.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { createExpectations, type Expectations } from "../expectations.ts";
import { syncHistory, trimHistory } from "../history.ts";
import { controllerOf, isTerminating, namespaceKey, sameJson } from "../objects.ts";
import { createInBatches, deletePod, isNamespaceTerminating } from "../pods.ts";
import { DAEMON_SETS, PODS } from "../resources.ts";
import { daemonPod, HASH_LABEL, nodeOf } from "./pods.ts";
import { type DaemonPlan, daemonStatus, planDaemons } from "./reconcile.ts";

const WORKERS = 2;
const BURST = 250;
/** A daemon that fails on its node is made anew after 1 s, 2 s, 4 s …, at most 15 minutes. */
const BACKOFF_FIRST_MS = 1_000;
const BACKOFF_MAX_MS = 900_000;

export const daemonSetController: Controller = {
  name: "daemonset",
  async start(context) {
    const queue = createWorkQueue();
    const expectations = createExpectations();
    const recorder = context.recorder("daemonset-controller");
    const sets = context.informers.daemonSets();
    const pods = context.informers.pods();
    const nodes = context.informers.nodes();
    const revisions = context.informers.controllerRevisions();
    /** uid of the set and node → failures there. */
    const failures = new Map<string, { count: number; until: number }>();

    const ownerKey = (pod: Pod): string | undefined => {
      const owner = controllerOf(pod);
      if (owner?.kind !== "DaemonSet") return undefined;
      const ds = sets.get(`${namespaceKey(pod)}/${owner.name}`);
      return ds?.metadata.uid === owner.uid ? keyOf(ds) : undefined;
    };
    const enqueue = (pod: Pod) => {
      const key = ownerKey(pod);
      if (key) queue.add(key);
      else if (!controllerOf(pod)) {
        for (const ds of sets.byIndex("namespace", namespaceKey(pod))) {
          if (selectsLabels(ds.spec?.selector, pod.metadata.labels)) queue.add(keyOf(ds));
        }
      }
    };
    const add = (ds: DaemonSet) => queue.add(keyOf(ds));
    const all = () => {
      for (const ds of sets.list()) add(ds);
    };
    sets.on({ added: add, updated: add, deleted: (ds) => expectations.forget(keyOf(ds)) });
    nodes.on({
      added: all,
      deleted: all,
      updated(node, old) {
        if (!samePlacement(node, old)) all();
      },
    });
    pods.on({
      added(pod) {
        const key = ownerKey(pod);
        if (key) expectations.created(key);
        enqueue(pod);
      },
      updated(pod, old) {
        const key = ownerKey(pod);
        if (key && isTerminating(pod)) expectations.deleted(key, keyOf(pod));
        if (controllerOf(old)?.uid !== controllerOf(pod)?.uid) enqueue(old);
        enqueue(pod);
      },
      deleted(pod) {
        const key = ownerKey(pod);
        if (key) expectations.deleted(key, keyOf(pod));
        enqueue(pod);
      },
    });
    if (!(await synced(context.signal, sets, pods, nodes, revisions))) return;

    /** Failed daemons whose time has not come stay; answers when the next one's does. */
    const holdBack = (ds: DaemonSet, plan: DaemonPlan): number | undefined => {
      const now = Date.now();
      let soonest: number | undefined;
      for (const pod of plan.remove.filter((p) => p.status?.phase === "Succeeded")) {
        const message = `Found succeeded daemon pod ${ds.metadata.namespace}/${pod.metadata.name} on node ${nodeOf(pod)}, will try to delete it`;
        recorder.event(ds, "Normal", "SucceededDaemonPod", message);
      }
      for (const pod of plan.failed) {
        const id = `${ds.metadata.uid}/${nodeOf(pod)}`;
        const known = failures.get(id);
        const waitMs = known ? known.until - now : 0;
        if (waitMs > 0) {
          plan.remove = plan.remove.filter((other) => other !== pod);
          soonest = Math.min(soonest ?? waitMs, waitMs);
          continue;
        }
        const count = known && now - known.until < 2 * BACKOFF_MAX_MS ? known.count + 1 : 0;
        failures.set(id, { count, until: now + Math.min(BACKOFF_FIRST_MS * 2 ** count, BACKOFF_MAX_MS) });
        if (failures.size > FAILURES_MAX) failures.delete(failures.keys().next().value!);
      }
      return soonest;
    };

    await runController({
      name: "daemonset",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const ds = sets.get(key);
        if (!ds) return expectations.forget(key);
        if (isTerminating(ds) || !expectations.satisfied(key)) return;
        const client = clientFor(context, ds);
        const uid = ds.metadata.uid ?? "";
        const common = { client, owner: ds, ownerResource: DAEMON_SETS };
        const own = await claim({
          ...common,
          resource: PODS,
          selector: ds.spec?.selector,
          candidates: [...pods.byIndex("owner", uid), ...pods.byIndex("orphans", namespaceKey(ds))],
        });
        const history = await syncHistory({
          ...common,
          candidates: [...revisions.byIndex("owner", uid), ...revisions.byIndex("orphans", namespaceKey(ds))],
          collisions: ds.status?.collisionCount ?? 0,
          hashLabel: HASH_LABEL,
        });
        const hash = history.update.metadata.labels?.[HASH_LABEL] ?? "";
        const input = { ds, nodes: nodes.list(), pods: own, hash, now: Date.now() };
        const plan = planDaemons(input);
        const heldMs = holdBack(ds, plan);
        let failure: unknown;
        try {
          await carryOut({ client, ds, key, hash, expectations, recorder }, plan);
        } catch (error) {
          failure = error;
        }
        const status = daemonStatus(input, history.collisions);
        if (!sameJson(ds.status, status)) {
          await client.update(DAEMON_SETS, { ...ds, status }, { subresource: "status" });
        }
        if (failure !== undefined) throw failure;
        const used = new Set(own.map((pod) => pod.metadata.labels?.[HASH_LABEL]));
        const live = (r: ControllerRevision) => r === history.update || used.has(r.metadata.labels?.[HASH_LABEL]);
        await trimHistory(client, history.revisions, live, ds.spec?.revisionHistoryLimit ?? 10);
        const waits = [heldMs, plan.recheckMs].filter((ms) => ms !== undefined);
        return waits.length > 0 ? { requeueAfterMs: Math.min(...waits) } : undefined;
      },
    });
  },
};

const FAILURES_MAX = 10_000;

/** Heartbeats change nothing here. */
const samePlacement = (a: Node, b: Node): boolean =>
  sameJson(a.metadata.labels, b.metadata.labels) && sameJson(a.spec?.taints, b.spec?.taints);

interface Act {
  client: Client;
  ds: DaemonSet;
  key: string;
  hash: string;
  expectations: Expectations;
  recorder: Recorder;
}

async function carryOut({ client, ds, key, hash, expectations, recorder }: Act, plan: DaemonPlan): Promise<void> {
  for (const pod of plan.failed) {
    if (!plan.remove.includes(pod)) continue;
    const message = `Found failed daemon pod ${ds.metadata.namespace}/${pod.metadata.name} on node ${nodeOf(pod)}, will try to kill it`;
    recorder.event(ds, "Warning", "FailedDaemonPod", message);
  }
  const nodes = plan.create.slice(0, BURST);
  expectations.expectCreations(key, nodes.length);
  const { missing, errors } = await createInBatches(nodes.length, async (index) => {
    const created = await client.create(PODS, daemonPod(ds, nodes[index]!, hash));
    recorder.event(ds, "Normal", "SuccessfulCreate", `Created pod: ${created.metadata.name}`);
  });
  for (let i = 0; i < missing; i++) expectations.created(key);
  const failed = errors.filter((error) => !isNamespaceTerminating(error));
  for (const error of failed) recorder.event(ds, "Warning", "FailedCreate", `Error creating: ${messageOf(error)}`);

  const victims = plan.remove.slice(0, BURST);
  expectations.expectDeletions(key, victims.map(keyOf));
  const deleted = await Promise.allSettled(
    victims.map(async (pod) => {
      try {
        const gone = await deletePod(client, pod);
        if (gone) recorder.event(ds, "Normal", "SuccessfulDelete", `Deleted pod: ${pod.metadata.name}`);
        else expectations.deleted(key, keyOf(pod));
      } catch (error) {
        expectations.deleted(key, keyOf(pod));
        recorder.event(ds, "Warning", "FailedDelete", `Error deleting: ${messageOf(error)}`);
        throw error;
      }
    }),
  );
  for (const result of deleted) if (result.status === "rejected") failed.push(result.reason);
  if (failed.length > 0) throw failed[0];
}
