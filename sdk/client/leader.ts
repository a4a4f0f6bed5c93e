/**
 * Leader election by a coordination.k8s.io/v1 Lease, by client-go's algorithm (tools/leaderelection): whoever's identity is
 * in the Lease leads until leaseDuration has passed since the others last SAW it change, on their own clocks: no clock
 * is compared with another machine's. The leader gives up renewDeadline after its last success, earlier than they take over.
 * Unlike client-go the others watch the Lease: one that is let go is taken at once, one that runs out at that moment.
 */
import type { GroupVersionResource, KubeObject } from "../api/object.ts";
import { isReason } from "../api/status.ts";
import { type ClientLog, messageOf, pause } from "./log.ts";
import type { Client } from "./port.ts";

export const LEASES: GroupVersionResource = { group: "coordination.k8s.io", version: "v1", resource: "leases" };

interface LeaseSpec {
  holderIdentity?: string;
  leaseDurationSeconds?: number;
  acquireTime?: string;
  renewTime?: string;
  leaseTransitions?: number;
}
interface Lease extends KubeObject {
  spec?: LeaseSpec;
}

export interface LeaderElectOptions {
  client: Client;
  namespace?: string;
  name: string;
  /** Unique to the process: host name and a random part. */
  identity: string;
  /** 4 s: a leader that was killed is succeeded in less than 5. */
  leaseDurationMs?: number;
  /** 3 s. */
  renewDeadlineMs?: number;
  /** How often the leader renews: 1 s. */
  retryPeriodMs?: number;
  /** Runs while this process leads; its signal aborts when leadership is lost or the election is stopped. */
  lead(signal: AbortSignal): Promise<void>;
  /** Another leads, and its Lease is watched from now on. */
  onStandBy?(leader: string): void;
  log: ClientLog;
  signal: AbortSignal;
}

const microTime = (ms: number): string => `${new Date(ms).toISOString().slice(0, 23)}000Z`;

/** Takes part until the signal aborts; then releases the Lease, so that the next leader need not wait. */
export async function leaderElect(options: LeaderElectOptions): Promise<void> {
  const { signal, log, lead } = options;
  const retryPeriodMs = options.retryPeriodMs ?? 1_000;
  const lease = createLease(options);
  while (!signal.aborted) {
    if (!(await lease.tryAcquire())) {
      // Without a watch: jitter as upstream, 1 to 2.2 periods.
      if (!(await lease.untilFree())) await pause(retryPeriodMs * (1 + Math.random() * 1.2), signal);
      continue;
    }
    log.debug("leading", { lease: options.name, identity: options.identity });
    const term = new AbortController();
    const end = () => term.abort();
    signal.addEventListener("abort", end, { once: true });
    const work = lead(term.signal).catch((error: unknown) =>
      log.warn("the leader's work failed", { lease: options.name, error: messageOf(error) }),
    );
    const finished = work.then(end);
    await renew(lease, term.signal, retryPeriodMs, options.renewDeadlineMs ?? 3_000);
    if (!signal.aborted && !term.signal.aborted) log.warn("leadership lost", { lease: options.name });
    term.abort();
    signal.removeEventListener("abort", end);
    await finished;
    await lease.release();
    await pause(retryPeriodMs, signal);
  }
}

/** Returns when the term is over or the Lease could not be renewed in time. */
async function renew(lease: HeldLease, term: AbortSignal, everyMs: number, deadlineMs: number): Promise<void> {
  let renewedAt = performance.now();
  for (;;) {
    await pause(everyMs, term);
    if (term.aborted) return;
    const remainingMs = renewedAt + deadlineMs - performance.now();
    const renewed = await Promise.race([lease.tryAcquire(), pause(remainingMs, term).then(() => false)]);
    if (renewed) renewedAt = performance.now();
    else if (performance.now() - renewedAt >= deadlineMs || lease.heldByAnother()) return;
  }
}

interface HeldLease {
  /** Creates, takes over or renews; false when another holds it or the server can't be reached. */
  tryAcquire(): Promise<boolean>;
  heldByAnother(): boolean;
  /** True: the Lease was let go, or ran out. False: it could not be watched to that end, or the election was stopped. */
  untilFree(): Promise<boolean>;
  release(): Promise<void>;
}

function createLease(options: LeaderElectOptions): HeldLease {
  const { client, name, identity, log } = options;
  const namespace = options.namespace ?? "kube-system";
  const durationMs = options.leaseDurationMs ?? 4_000;
  let observed: Lease | undefined;
  let observedAt = 0;

  const observe = (lease: Lease) => {
    if (observed?.metadata.resourceVersion !== lease.metadata.resourceVersion) observedAt = performance.now();
    observed = lease;
  };
  const spec = (old: LeaseSpec | undefined): LeaseSpec => {
    const now = microTime(Date.now());
    const mine = old?.holderIdentity === identity;
    return {
      holderIdentity: identity,
      leaseDurationSeconds: Math.max(1, Math.round(durationMs / 1000)),
      acquireTime: mine ? old.acquireTime : now,
      renewTime: now,
      leaseTransitions: (old?.leaseTransitions ?? 0) + (old && !mine && old.holderIdentity ? 1 : 0),
    };
  };
  const attempt = async (): Promise<boolean> => {
    // The holder need not read: a compare-and-swap on what it wrote last tells whether it still holds.
    if (observed?.spec?.holderIdentity !== identity) {
      try {
        observe(await client.get<Lease>(LEASES, { namespace, name }));
      } catch (error) {
        if (!isReason(error, "NotFound")) throw error;
        const lease: Lease = {
          apiVersion: "coordination.k8s.io/v1",
          kind: "Lease",
          metadata: { name, namespace },
          spec: spec(undefined),
        };
        observe(await client.create(LEASES, lease));
        return true;
      }
    }
    const held = observed!;
    const holder = held.spec?.holderIdentity;
    if (holder && holder !== identity && performance.now() - observedAt < durationMs) return false;
    observe(await client.update<Lease>(LEASES, { ...held, spec: spec(held.spec) }));
    return true;
  };

  return {
    async tryAcquire() {
      try {
        return await attempt();
      } catch (error) {
        log.debug("the lease was not acquired", { lease: name, error: messageOf(error) });
        // Read it anew next time; the clock of `observedAt` starts over only if it has changed meanwhile.
        if (observed?.spec?.holderIdentity === identity && isReason(error, "Conflict")) {
          observed = { ...observed, spec: { ...observed.spec, holderIdentity: "" } };
        }
        return false;
      }
    },
    heldByAnother: () => observed?.spec?.holderIdentity !== identity,
    async untilFree() {
      if (!observed?.spec?.holderIdentity || !observed.metadata.resourceVersion) return false;
      const stop = new AbortController();
      let timer: NodeJS.Timeout | undefined;
      const whenOver = () => {
        clearTimeout(timer);
        timer = setTimeout(() => stop.abort(), Math.max(0, observedAt + durationMs - performance.now()));
      };
      const { resourceVersion } = observed.metadata;
      const watching = AbortSignal.any([options.signal, stop.signal]);
      const watch = { namespace, fieldSelector: `metadata.name=${name}`, resourceVersion, signal: watching };
      whenOver();
      options.onStandBy?.(observed.spec.holderIdentity);
      try {
        for await (const event of client.watch<Lease>(LEASES, watch)) {
          if (event.type === "BOOKMARK") continue;
          observe(event.object);
          if (event.type === "DELETED" || !event.object.spec?.holderIdentity) return true;
          whenOver();
        }
      } catch (error) {
        log.debug("the lease cannot be watched", { lease: name, error: messageOf(error) });
      } finally {
        clearTimeout(timer);
      }
      return stop.signal.aborted;
    },
    async release() {
      if (observed?.spec?.holderIdentity !== identity) return;
      try {
        const released = {
          ...observed.spec,
          holderIdentity: "",
          leaseDurationSeconds: 1,
          renewTime: microTime(Date.now()),
        };
        observe(await client.update<Lease>(LEASES, { ...observed, spec: released }));
      } catch (error) {
        log.debug("the lease was not released", { lease: name, error: messageOf(error) });
      }
    },
  };
}
