/** NodeVolumeLimits as kube-scheduler has it, for CSI drivers: what CSINode says a node can attach. */
import { outcome } from "#sdk/plugin/scheduling.ts";
import type { Outcome } from "#sdk/plugin/types.ts";
import type { ClaimFact } from "../volume-binding/claims.ts";

const TOO_MANY = outcome(["node(s) exceed max volume count"], false);

/** By driver. */
export type VolumeLimits = Record<string, number>;

/** Undefined where the pod may go. A volume that is there already counts once, whoever uses it. */
export function judge(
  wanted: readonly ClaimFact[],
  present: Iterable<readonly ClaimFact[]>,
  limits: VolumeLimits,
): Outcome | undefined {
  const drivers = new Set(wanted.flatMap(({ attach }) => (attach && attach.driver in limits ? [attach.driver] : [])));
  if (drivers.size === 0) return undefined;
  const attached = new Map([...drivers].map((driver) => [driver, new Set<string>()]));
  const add = ({ attach }: ClaimFact) => attach && attached.get(attach.driver)?.add(attach.handle);
  for (const claims of present) claims.forEach(add);
  const before = new Map([...attached].map(([driver, handles]) => [driver, handles.size]));
  wanted.forEach(add);
  for (const [driver, handles] of attached) {
    if (handles.size > before.get(driver)! && handles.size > limits[driver]!) return TOO_MANY;
  }
  return undefined;
}
