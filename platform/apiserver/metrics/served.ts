/** metrics.k8s.io/v1beta1 in discovery (k8s.io/metrics): served here where no extension server serves it. */
import type { Published } from "../openapi/published.ts";

export const METRICS_GROUP = "metrics.k8s.io";
export const METRICS_PATH = `/apis/${METRICS_GROUP}/v1beta1`;

const resource = (kind: string, name: string, namespaced: boolean): Published => ({
  group: METRICS_GROUP,
  version: "v1beta1",
  resource: name,
  kind,
  singular: "",
  namespaced,
  verbs: ["get", "list"],
  shortNames: [],
  categories: [],
  subresources: [],
  // Nothing is stored, and no schema is told.
  remote: true,
});
const RESOURCES: readonly Published[] = [resource("NodeMetrics", "nodes", false), resource("PodMetrics", "pods", true)];

/** By the list it is added to: documents are made once for each list. */
const added = new WeakMap<readonly Published[], readonly Published[]>();

export function withMetrics(served: readonly Published[]): readonly Published[] {
  const known = added.get(served);
  if (known) return known;
  const all = [...served, ...RESOURCES];
  added.set(served, all);
  return all;
}
