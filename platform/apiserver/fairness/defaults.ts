/**
 * Upstream's flow schemas and priority levels: those of root, which hold for everybody, come back when they are deleted. Two of each must be
 * there at all times and as they are: without them nobody would be let in who could bring them back (KEP-1040).
 */
import type { Clock } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { ROOT_TENANT, type Store } from "#platform/store/port.ts";
import { ensureFlowDefaults } from "../bootstrap.ts";
import type { Registry } from "../registry/registry.ts";
import { followed } from "./follow.ts";

const GROUP = "flowcontrol.apiserver.k8s.io";

export interface DefaultParts {
  store: Store;
  registry: () => Registry;
  clock: Clock;
  log: Log;
}

/** Until the signal aborts. Any number of API servers may do it. */
export function keepFlowDefaults({ store, registry, clock, log }: DefaultParts, signal: AbortSignal): void {
  for (const resource of ["flowschemas", "prioritylevelconfigurations"]) {
    const scope = { tenant: ROOT_TENANT, resource: `${resource}.${GROUP}` };
    void followed({ store, scope, signal, log }, async (changes) => {
      if (!changes.some(({ type }) => type === "deleted")) return;
      try {
        await ensureFlowDefaults(registry(), clock.now());
      } catch (error) {
        log.warn("flow control's defaults could not be written", { error: messageOf(error) });
      }
    });
  }
}
