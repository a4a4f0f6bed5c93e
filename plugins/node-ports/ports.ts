/** NodePorts as kube-scheduler has it. */
import type { Pod } from "#sdk/api/generated/types.ts";
import { outcome } from "#sdk/plugin/scheduling.ts";
import type { Outcome } from "#sdk/plugin/types.ts";

export interface HostPort {
  ip: string;
  protocol: string;
  port: number;
}

const ANY = "0.0.0.0";
const CONFLICT = outcome(["node(s) didn't have free ports for the requested pod ports"], false);

/** Of containers, and of those that start before them and stay. */
export function hostPorts(
  spec: Pick<NonNullable<Pod["spec"]>, "containers" | "initContainers"> | undefined,
): HostPort[] {
  const sidecars = (spec?.initContainers ?? []).filter(({ restartPolicy }) => restartPolicy === "Always");
  return [...(spec?.containers ?? []), ...sidecars].flatMap(({ ports }) =>
    (ports ?? []).flatMap(({ hostPort, hostIP, protocol }) =>
      hostPort ? [{ ip: hostIP || ANY, protocol: protocol || "TCP", port: hostPort }] : [],
    ),
  );
}

/** All addresses of a host clash with each of them. */
const clash = (a: HostPort, b: HostPort): boolean =>
  a.port === b.port && a.protocol === b.protocol && (a.ip === b.ip || a.ip === ANY || b.ip === ANY);

/** Undefined where the pod may go. */
export const judge = (wanted: readonly HostPort[], taken: readonly HostPort[]): Outcome | undefined =>
  wanted.some((port) => taken.some((other) => clash(port, other))) ? CONFLICT : undefined;
