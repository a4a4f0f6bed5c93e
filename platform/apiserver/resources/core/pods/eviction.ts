/** pods/NAME/eviction: a delete that asks the pod's disruption budgets first (policy/v1 Eviction). */

import { timeText } from "#platform/base/clock.ts";
import type { Eviction, Pod, PodCondition, PodDisruptionBudget } from "#sdk/api/generated/types.ts";
import { selectsLabels } from "#sdk/api/labels.ts";
import { badRequest, StatusError } from "#sdk/api/status.ts";
import { decode } from "../../../registry/document.ts";
import type { ActionRequest, ActionStrategy, DeleteOptions } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";

const BUDGETS = "poddisruptionbudgets.policy";
/** A pod that cannot be disrupted any more, or was never up, needs no budget. */
const FREE_PHASES = new Set(["Succeeded", "Failed", "Pending"]);

async function budgetsFor(request: ActionRequest, pod: Pod): Promise<PodDisruptionBudget[]> {
  const scope = { tenant: request.context.tenant, resource: BUDGETS, namespace: request.namespace };
  const { objects } = await request.registry.store.list({ scope, freshness: { type: "consistent" } });
  return objects
    .map((o) => as<PodDisruptionBudget>(decode(o)))
    .filter((b) => selectsLabels(b.spec?.selector, pod.metadata.labels));
}

function refused(budget: PodDisruptionBudget): StatusError {
  const { name = "" } = budget.metadata;
  const { currentHealthy = 0, desiredHealthy = 0 } = budget.status ?? {};
  const error = new StatusError(
    429,
    "TooManyRequests",
    "Cannot evict pod as it would violate the pod's disruption budget.",
    {
      causes: [
        {
          reason: "DisruptionBudget",
          message: `The disruption budget ${name} needs ${desiredHealthy} healthy pods and has ${currentHealthy} currently`,
        },
      ],
    },
  );
  return error;
}

/** Takes one disruption from the budget, by compare-and-swap on its status. */
async function spend(request: ActionRequest, budget: PodDisruptionBudget, pod: Pod): Promise<void> {
  await request.registry.modify(request.context, {
    group: "policy",
    resource: "poddisruptionbudgets",
    namespace: request.namespace,
    name: budget.metadata.name ?? "",
    subresource: "status",
    dryRun: request.dryRun,
    fieldManager: request.fieldManager,
    change(object) {
      const current = as<PodDisruptionBudget>(object);
      const status = current.status;
      const behind = (status?.observedGeneration ?? 0) < (current.metadata.generation ?? 0);
      if (!status || behind || (status.disruptionsAllowed ?? 0) < 1) throw refused(current);
      status.disruptionsAllowed = (status.disruptionsAllowed ?? 0) - 1;
      const disrupted = {
        ...status.disruptedPods,
        [pod.metadata.name ?? ""]: new Date(request.context.now).toISOString().replace(/\.\d+Z$/, "Z"),
      };
      status.disruptedPods = disrupted;
    },
  });
}

/** The pod says why it goes: jobs do not count that as its failure (KEP-3329). */
async function announce({ context, registry, namespace, name, fieldManager }: ActionRequest, pod: Pod): Promise<void> {
  await registry.modify(context, {
    group: "",
    resource: "pods",
    namespace,
    name,
    subresource: "status",
    raw: true,
    dryRun: false,
    fieldManager,
    change(object) {
      const current = as<Pod>(object);
      if (current.metadata.uid !== pod.metadata.uid) return;
      const others = (current.status?.conditions ?? []).filter(({ type }) => type !== "DisruptionTarget");
      const condition = {
        type: "DisruptionTarget",
        status: "True",
        reason: "EvictionByEvictionAPI",
        message: "Eviction API: evicting",
        lastProbeTime: null,
        lastTransitionTime: timeText(context.now),
      };
      current.status = { ...current.status, conditions: [...others, condition as unknown as PodCondition] };
    },
  });
}

export const evictionAction: ActionStrategy = {
  code: 201,
  async handle(request) {
    const eviction = as<Eviction>(request.body ?? { metadata: {} });
    const { context, registry, namespace, name } = request;
    if (eviction.metadata.name && eviction.metadata.name !== name)
      throw badRequest("name in URL does not match name in Eviction object");
    const pod = as<Pod>(await registry.read(context, "", "pods", namespace, name));
    const budgets =
      FREE_PHASES.has(pod.status?.phase ?? "") || pod.metadata.deletionTimestamp ? [] : await budgetsFor(request, pod);
    if (budgets.length > 1) {
      throw new StatusError(
        500,
        "InternalError",
        "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.",
      );
    }
    if (budgets[0]) await spend(request, budgets[0], pod);
    const sent = eviction.deleteOptions;
    const options: DeleteOptions = {
      dryRun: request.dryRun,
      ...(sent?.gracePeriodSeconds === undefined ? {} : { gracePeriodSeconds: sent.gracePeriodSeconds }),
      ...(sent?.preconditions ? { preconditions: sent.preconditions } : {}),
    };
    if (!request.dryRun) await announce(request, pod);
    await registry.remove(context, { group: "", resource: "pods", namespace, name, options });
    return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Success", code: 201 };
  },
};
