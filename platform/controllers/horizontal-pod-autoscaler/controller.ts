/** Changes the size of what HorizontalPodAutoscalers point at (upstream: pkg/controller/podautoscaler). */
import type { HorizontalPodAutoscaler, Pod } from "#sdk/api/generated/types.ts";
import { matchesLabels, parseLabelSelector } from "#sdk/api/labels.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController, splitKey } from "#sdk/client/controller.ts";
import { keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { namespaceKey, sameJson } from "../objects.ts";
import { HORIZONTAL_POD_AUTOSCALERS } from "../resources.ts";
import type { History } from "./history.ts";
import { metricsSource } from "./metrics.ts";
import { look } from "./reconcile.ts";
import { createScales, type Scales } from "./scale.ts";

const WORKERS = 5;
/** Upstream's --horizontal-pod-autoscaler-sync-period. */
const PERIOD_MS = 15_000;

export const horizontalPodAutoscalerController: Controller = {
  name: "horizontal-pod-autoscaler",
  async start(context) {
    const queue = createWorkQueue();
    const recorder = context.recorder("horizontal-pod-autoscaler");
    const [autoscalers, pods] = [context.informers.autoscalers(), context.informers.pods()];
    const histories = new Map<string, History>();
    /** What each one's target selected when it was last looked at, by key. */
    const selectors = new Map<string, { namespace: string; selector: string }>();
    const scales = new Map<string, Scales>();
    const scalesOf = (autoscaler: HorizontalPodAutoscaler): Scales => {
      const tenant = tenantOf(autoscaler);
      const present = scales.get(tenant) ?? createScales(clientFor(context, autoscaler));
      scales.set(tenant, present);
      return present;
    };
    autoscalers.on({
      added: (autoscaler) => queue.add(keyOf(autoscaler)),
      updated(autoscaler, old) {
        if (!sameJson(autoscaler.spec, old.spec)) queue.add(keyOf(autoscaler));
      },
      deleted(autoscaler) {
        const key = keyOf(autoscaler);
        histories.delete(key);
        selectors.delete(key);
        if (!autoscalers.list().some((other) => tenantOf(other) === tenantOf(autoscaler)))
          scales.delete(tenantOf(autoscaler));
      },
    });
    if (!(await synced(context.signal, autoscalers, pods))) return;

    const rivalsOf = (key: string, namespace: string) => (found: readonly Pod[], selector: string) => {
      selectors.set(key, { namespace, selector });
      return [...selectors].flatMap(([other, theirs]) => {
        if (other === key || theirs.namespace !== namespace) return [];
        const parsed = parseLabelSelector(theirs.selector);
        if (!found.some((pod) => matchesLabels(parsed, pod.metadata.labels))) return [];
        const { namespace: near, name } = splitKey(other);
        return [`{${name} ${near}}`];
      });
    };

    await runController({
      name: "horizontal-pod-autoscaler",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const autoscaler = autoscalers.get(key);
        if (!autoscaler) return;
        const client = clientFor(context, autoscaler);
        const namespace = namespaceKey(autoscaler);
        const outcome = await look({
          autoscaler,
          scales: scalesOf(autoscaler),
          metrics: metricsSource(client),
          podsInNamespace: () => pods.byIndex("namespace", namespace),
          rivals: rivalsOf(key, namespace),
          history: histories.get(key),
          now: Date.now(),
        });
        if (outcome.history && autoscalers.get(key)) histories.set(key, outcome.history);
        for (const { type, reason, message } of outcome.events) recorder.event(autoscaler, type, reason, message);
        if (outcome.error !== undefined)
          context.log.debug("an autoscaler could not do all", { key, error: outcome.error });
        if (!sameJson(outcome.status, shownStatus(autoscaler))) {
          const next = { ...autoscaler, status: outcome.status };
          try {
            await client.update(HORIZONTAL_POD_AUTOSCALERS, next, { subresource: "status" });
          } catch (error) {
            // Deleted, or changed meanwhile: a size that was set stands, and the next look shows it.
            if (!isReason(error, "NotFound") && !isReason(error, "Conflict")) throw error;
          }
        }
        return { requeueAfterMs: PERIOD_MS };
      },
    });
  },
};

/** The server shows a list that was never set as null. */
function shownStatus({ status }: HorizontalPodAutoscaler): HorizontalPodAutoscaler["status"] {
  return status && { ...status, currentMetrics: status.currentMetrics ?? undefined };
}
