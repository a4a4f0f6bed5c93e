/** Pods: their life from creation to graceful deletion, and what they take of their node. */
import type { LedgerChange, Store } from "#platform/store/port.ts";
import { ROOT_TENANT } from "#platform/store/port.ts";
import type { Pod, PodSpec } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { badRequest, conflict } from "#sdk/api/status.ts";
import { forbiddenField, invalidValue } from "../../../registry/causes.ts";
import { documentOf } from "../../../registry/document.ts";
import { genericStrategy, statusView } from "../../../registry/generic.ts";
import type { Effects, EffectsRequest, Strategy, ViewStrategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";
import { same } from "../../checks.ts";
import { bindingAction } from "./binding.ts";
import { defaultPod } from "./defaults.ts";
import { evictionAction } from "./eviction.ts";
import { dropDisabled, preparePod } from "./prepare.ts";
import { ledgerAmounts } from "./quantities.ts";
import { validatePodUpdate } from "./update.ts";
import { validateNewPod } from "./validation.ts";

const FINAL = new Set(["Succeeded", "Failed"]);

const specOnly = (change: (next: Pod, old: Pod) => PodSpec): ViewStrategy => ({
  prepareForUpdate(next, old) {
    const spec = change(as<Pod>(next), as<Pod>(old));
    next.spec = spec;
    next.status = structuredClone(old.status);
  },
});

/** Containers can be added to a running pod for debugging and never be changed or taken away. */
const ephemeralContainers: ViewStrategy = {
  ...specOnly((next, old) => ({
    ...structuredClone(old.spec as PodSpec),
    ephemeralContainers: next.spec?.ephemeralContainers,
  })),
  validateUpdate(next, old) {
    const [after, before] = [
      as<Pod>(next).spec?.ephemeralContainers ?? [],
      as<Pod>(old).spec?.ephemeralContainers ?? [],
    ];
    const kept = before.every((b) => after.some((a) => a.name === b.name && same(a, b)));
    if (!kept)
      return [
        forbiddenField("spec.ephemeralContainers", "existing ephemeral containers may not be changed or removed"),
      ];
    const targets = new Set(as<Pod>(next).spec?.containers?.map((c) => c.name));
    return after.flatMap((c, i) =>
      c.targetContainerName && !targets.has(c.targetContainerName)
        ? [
            invalidValue(
              `spec.ephemeralContainers[${i}].targetContainerName`,
              c.targetContainerName,
              "no such container",
            ),
          ]
        : [],
    );
  },
};

const resize: ViewStrategy = specOnly((next, old) => {
  const spec = structuredClone(old.spec as PodSpec);
  for (const list of ["containers", "initContainers"] as const) {
    for (const container of spec[list] ?? []) {
      const wanted = next.spec?.[list]?.find((c) => c.name === container.name);
      if (wanted) container.resources = wanted.resources;
    }
  }
  return spec;
});

const podStatus: ViewStrategy = {
  ...statusView,
  prepareForUpdate(next, old, context) {
    statusView.prepareForUpdate(next, old, context);
    const [pod, before] = [as<Pod>(next), as<Pod>(old)];
    // Only the server says of which quality a pod is.
    if (pod.status && before.status?.qosClass) pod.status.qosClass = before.status.qosClass;
  },
};

/** The node's ledger and what the pod takes of it; undefined while it takes nothing. */
function taken(pod: Pod | undefined): { node: string; amounts: Record<string, number> } | undefined {
  const node = pod?.spec?.nodeName;
  if (!pod?.spec || !node || FINAL.has(pod.status?.phase ?? "")) return undefined;
  return { node, amounts: ledgerAmounts(pod.spec, pod.status) };
}

const CAPACITY_GUARD = "node-capacity";

/** True exactly when an enabled Plugin of root lists the guard: with it turned off, nothing refuses an oversized binding. */
async function capacityIsGuarded(store: Store): Promise<boolean> {
  const scope = { tenant: ROOT_TENANT, resource: "plugins.capstan.dev" };
  const { objects } = await store.list({ scope, freshness: { type: "atLeast", revision: 0 } });
  return objects.some((stored) => {
    const { spec } = documentOf<{ spec?: { enabled?: boolean; guards?: string[] } }>(stored);
    return spec?.enabled !== false && (spec?.guards ?? []).includes(CAPACITY_GUARD);
  });
}

/** S3: every change of node, requests or final phase moves the node's ledger in the same transaction. */
async function effects(request: EffectsRequest): Promise<Effects> {
  const before = taken(request.old && as<Pod>(request.old));
  const after = request.operation === "delete" ? undefined : taken(as<Pod>(request.object));
  if (!before && !after) return {};
  if (before && after && before.node === after.node && same(before.amounts, after.amounts)) return {};
  const change = (node: string, amounts: Record<string, number>, sign: 1 | -1, enforce: boolean): LedgerChange => ({
    tenant: ROOT_TENANT,
    ledger: `node/${node}`,
    delta: Object.fromEntries(Object.entries(amounts).map(([k, v]) => [k, sign * v])),
    enforce,
  });
  const ledgers: LedgerChange[] = [];
  if (before && after && before.node === after.node) {
    const names = new Set([...Object.keys(before.amounts), ...Object.keys(after.amounts)]);
    const delta = Object.fromEntries([...names].map((n) => [n, (after.amounts[n] ?? 0) - (before.amounts[n] ?? 0)]));
    ledgers.push(change(after.node, delta, 1, false));
  } else {
    if (before) ledgers.push(change(before.node, before.amounts, -1, false));
    // The guard is on bindings: a pod created with its node already named counts, and the node refuses it itself.
    const binds = request.operation === "update" && after !== undefined;
    const enforce = binds && (await capacityIsGuarded(request.store));
    if (after) ledgers.push(change(after.node, after.amounts, 1, enforce));
  }
  const { name = "" } = request.object.metadata;
  return {
    ledgers,
    refused: (result) =>
      result.why === "ledger"
        ? conflict(
            { group: "", resource: "pods/binding" },
            name,
            `node "${after?.node ?? ""}" has not enough ${result.resource}: ${result.used} of ${result.limit} are taken`,
          )
        : undefined,
  };
}

export const podStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    returnsDeletedObject: true,
    applyDefaults: (object) => defaultPod(as<Pod>(object)),
    prepareForCreate: (object, { now }) => preparePod(as<Pod>(object), now),
    prepareForUpdate: (next, old) => dropDisabled(as<Pod>(next).spec, as<Pod>(old).spec),
    validate: (object) => validateNewPod(as<Pod>(object)),
    validateUpdate: (next, old) => validatePodUpdate(as<Pod>(next), as<Pod>(old)),
    fieldNames: [
      "spec.nodeName",
      "spec.restartPolicy",
      "spec.schedulerName",
      "spec.serviceAccountName",
      "spec.hostNetwork",
      "status.phase",
      "status.podIP",
      "status.podIPs",
      "status.nominatedNodeName",
    ],
    fields(object) {
      const { spec, status } = as<Pod>(object);
      return {
        "spec.nodeName": spec?.nodeName ?? "",
        "spec.restartPolicy": spec?.restartPolicy ?? "",
        "spec.schedulerName": spec?.schedulerName ?? "",
        "spec.serviceAccountName": spec?.serviceAccountName ?? "",
        "spec.hostNetwork": String(spec?.hostNetwork ?? false),
        "status.phase": status?.phase ?? "",
        "status.podIP": status?.podIP ?? "",
        "status.podIPs": (status?.podIPs ?? []).map(({ ip }) => ip).join() || (status?.podIP ?? ""),
        "status.nominatedNodeName": status?.nominatedNodeName ?? "",
      };
    },
    // Binding changes nothing that the pod asks for.
    keepsGeneration: (next, old) => !as<Pod>(old).spec?.nodeName && Boolean(as<Pod>(next).spec?.nodeName),
    gracePeriodSeconds(object, { gracePeriodSeconds }) {
      const { spec, status } = as<Pod>(object);
      if (gracePeriodSeconds !== undefined && gracePeriodSeconds < 0) {
        throw badRequest("gracePeriodSeconds must be greater than or equal to 0");
      }
      const period = gracePeriodSeconds ?? spec?.terminationGracePeriodSeconds ?? 30;
      // Nobody has to stop what no node runs.
      if (!spec?.nodeName || FINAL.has(status?.phase ?? "")) return 0;
      return period < 0 ? 1 : period;
    },
    effects,
    views: { status: podStatus, ephemeralcontainers: ephemeralContainers, resize },
    actions: { binding: bindingAction, eviction: evictionAction },
  });
