/** What a pod may learn of itself: fieldRef and resourceFieldRef (the downward API). */
import type { Container, ObjectFieldSelector, ResourceFieldSelector } from "#sdk/api/generated/types.ts";
import { parseQuantity } from "#sdk/api/quantity.ts";
import { type NodeContext, type NodePod, nodeAddresses } from "./context.ts";

/** fieldpath.FormatMap: one `key="value"` a line, sorted. */
const formatMap = (map: Record<string, string> | undefined): string =>
  Object.keys(map ?? {})
    .sort()
    .map((key) => `${key}=${JSON.stringify(map?.[key] ?? "")}`)
    .join("\n");

/** Throws an Error for a path that upstream does not know. `podIPs` as they are now known. */
export function fieldValue(
  pod: NodePod,
  ref: ObjectFieldSelector,
  node: NodeContext["settings"],
  podIPs: string[],
): string {
  const path = ref.fieldPath;
  const subscript = /^metadata\.(labels|annotations)\['(.*)'\]$/.exec(path);
  if (subscript !== null)
    return pod.metadata[subscript[1] === "labels" ? "labels" : "annotations"]?.[subscript[2] ?? ""] ?? "";
  switch (path) {
    case "metadata.name":
      return pod.metadata.name;
    case "metadata.namespace":
      return pod.metadata.namespace;
    case "metadata.uid":
      return pod.metadata.uid;
    case "metadata.labels":
      return formatMap(pod.metadata.labels);
    case "metadata.annotations":
      return formatMap(pod.metadata.annotations);
    case "spec.nodeName":
      return pod.spec.nodeName ?? "";
    case "spec.serviceAccountName":
      return pod.spec.serviceAccountName ?? "";
    case "status.hostIP":
      return node.address;
    case "status.hostIPs":
      return nodeAddresses(node).join(",");
    case "status.podIP":
      return podIPs[0] ?? "";
    case "status.podIPs":
      return podIPs.join(",");
    default:
      throw new Error(`unsupported fieldPath: ${path}`);
  }
}

/** A limit that is not set is the node's whole; values are divided and rounded up. */
export function resourceValue(
  container: Container,
  ref: ResourceFieldSelector,
  machine: NodeContext["machine"],
): string {
  const [side, ...rest] = ref.resource.split(".");
  const name = rest.join(".");
  const set = side === "limits" ? container.resources?.limits?.[name] : container.resources?.requests?.[name];
  const whole: Record<string, string> = { cpu: `${machine.cpuMilli}m`, memory: `${machine.memoryBytes}` };
  const value = set ?? (side === "limits" ? whole[name] : undefined) ?? "0";
  const divisor = ref.divisor === undefined || String(ref.divisor) === "0" ? "1" : ref.divisor;
  const [amount, by] = [parseQuantity(value).nano, parseQuantity(divisor).nano];
  return String((amount + by - 1n) / by);
}
