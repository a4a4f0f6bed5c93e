/**
 * The instances of one component with one configuration. States and events: states.ts.
 *
 * A call takes an idle instance, or a new one while there are fewer than the limit, or waits in the queue until its deadline (P4). An
 * instance serves one tenant until it is made anew (P2). An instance that was stopped (trap, deadline, memory) is discarded and
 * the next one comes after a back-off that doubles while nothing succeeds (P3).
 */
import type { Clock } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { type Component, EngineError, type HostCall, type OwnTexts } from "#sdk/engine/port.ts";
import type { Failure } from "#sdk/plugin/failure.ts";
import type { PluginSpec } from "#sdk/plugin/manifest.ts";
import type { InstanceBudget } from "./budget.ts";
import { callErrorOf, PluginCallError } from "./errors.ts";
import { Instances, type Slot } from "./instances.ts";
import type { PluginMetrics } from "./metrics.ts";
import type { Viewer } from "./port.ts";
import type { TenantUse } from "./quota.ts";
import { next, type State, type StateEvent } from "./states.ts";

const BACKOFF_MS = { first: 100, max: 30_000 };
/** So many stops in a row without one success between them. */
const STOPS_UNTIL_QUARANTINE = 8;
/** Making an instance (with its first synchronization) may take so long at least. */
const START_MS_MIN = 10_000;
const REASON_CHARACTERS_MAX = 500;
/** A pure call stands on the caller's thread: one that computes longer is stopped, and this plugin's calls go elsewhere from then on. */
const PURE_MS = 50;

/** What a call is for: capability calls inside it are decided and addressed by this. */
export interface CallContext {
  tenant: string;
  hook: string;
  /** Whose rights the call has; undefined: the plugin's own user's. */
  user?: Viewer;
  /** Milliseconds since the epoch. */
  deadlineAt: number;
}

export interface Call {
  interfaceName: string;
  functionName: string;
  args: unknown[];
  tenant: string;
  user?: Viewer;
  deadlineMs: number;
  /** Nobody waits for it (a change of the node table): the instance counts as idle nonetheless. */
  background?: boolean;
}

/** Calls into one instance that was just made, before anybody else's: filter components get their node table here. */
export type Prepare = (
  call: (interfaceName: string, functionName: string, args: unknown[]) => Promise<void>,
) => Promise<void>;

export interface PoolOptions {
  plugin: string;
  spec: PluginSpec;
  load: () => Promise<Component>;
  /** Reads the bytes and checks them against the digest; done before `load`. */
  fetch: () => Promise<void>;
  /** The capabilities, for the call that is under way. */
  host: (context: CallContext) => HostCall;
  prepare: Prepare;
  own: OwnTexts;
  /** The instances may be entered on the caller's thread: root's plugins without capabilities. */
  pure: boolean;
  /** How long a pure call may take. */
  pureMsMax?: number | undefined;
  /** The first instance is made when it is called for. */
  lazy?: boolean;
  /** So many instances stay however idle they are; 1 unless said. */
  kept?: number;
  budget: InstanceBudget;
  /** Of the plugin's own tenant. */
  use: TenantUse;
  metrics: PluginMetrics;
  log: Log;
  clock: Clock;
  changed: () => void;
}

interface Waiting {
  tenant: string;
  wake: (slot: Slot | undefined) => void;
}

export class Pool {
  readonly spec: PluginSpec;
  state: State = "absent";
  /** Why it is not serving, or what stopped the last instance. */
  reason = "";
  readonly #o: PoolOptions;
  readonly #instances: Instances;
  readonly #queue: Waiting[] = [];
  #stopsInARow = 0;
  #pure: boolean;
  /** Of performance.now(); while backing off. */
  #retryAt = 0;
  #component: Component | undefined;
  #timer: NodeJS.Timeout | undefined;
  #memoryBytes = 0;
  /** What the last call cost. */
  #lastMicros = 0;
  readonly #settled: (() => void)[] = [];

  constructor(options: PoolOptions) {
    this.#o = options;
    this.spec = options.spec;
    this.#pure = options.pure;
    const { instances: max, memoryMiB } = options.spec.limits;
    const { budget, use, kept = 1 } = options;
    this.#instances = new Instances({ max, memoryMiB, kept, budget, use, feed: () => this.#feed() });
  }

  /** Live ones: idle, busy and being made. */
  get instances(): number {
    return this.#instances.live;
  }
  get memoryBytes(): number {
    return this.#memoryBytes * this.#instances.live;
  }

  /** Whether its component exports an interface ("capstan:plugin/filter-hooks@1.0.0"); false before that is known. */
  offers(interfaceName: string): boolean {
    return this.#component?.exports.has(interfaceName) ?? false;
  }

  start(): void {
    this.#event("install");
    void this.#bringUp();
  }

  /** Resolves when the pool serves for the first time, or is known not to for now. */
  settled(): Promise<void> {
    if (!["absent", "fetching", "compiling", "warming"].includes(this.state)) return Promise.resolve();
    return new Promise((resolve) => this.#settled.push(resolve));
  }

  /** Calls under way end, waiting ones are refused; then everything is freed. */
  async drain(): Promise<void> {
    if (this.state === "absent" || this.state === "draining") return;
    this.#event("remove");
    clearTimeout(this.#timer);
    this.#instances.close();
    for (const waiting of this.#queue.splice(0)) waiting.wake(undefined);
    await this.#freeAfterDrain();
  }

  /** `started`: from when on the deadline counts, of performance.now(). */
  async call(call: Call, started = performance.now()): Promise<unknown> {
    const hook = call.functionName;
    const deadlineMs = this.deadlineMs(hook, call.deadlineMs);
    const { use } = this.#o;
    if (use.cpuWaitMs() > 0 && !(await use.cpuBy(started + deadlineMs)))
      throw this.#unavailable(hook, `the CPU quota of tenant ${use.tenant} is used up`);
    // Charged as the last one was, so that those who waited together do not all find the time that one of them takes.
    const expected = this.#lastMicros;
    use.spent(expected);
    try {
      return await this.#enter(call, deadlineMs, started);
    } finally {
      use.spent(-expected);
    }
  }

  async #enter(call: Call, deadlineMs: number, started: number): Promise<unknown> {
    const hook = call.functionName;
    const taken = this.#acquire(call.tenant, deadlineMs - (performance.now() - started), hook);
    const slot = taken instanceof Promise ? await taken : taken;
    const queuedMilliseconds = performance.now() - started;
    const left = Math.max(1, deadlineMs - queuedMilliseconds);
    const { tenant, user } = call;
    slot.context = { tenant, hook, deadlineAt: this.#o.clock.now() + left, ...(user ? { user } : {}) };
    const running = slot.instance.pure ? (this.#o.pureMsMax ?? PURE_MS) : undefined;
    let isMoved = false;
    try {
      const value = await slot.instance.call(call.interfaceName, hook, call.args, left, running);
      this.#stopsInARow = 0;
      this.#release(slot, call.background !== true);
      return value;
    } catch (error) {
      const isOver = performance.now() - started >= deadlineMs;
      if (running !== undefined && !isOver && error instanceof EngineError && error.kind === "deadline") {
        isMoved = true;
        return await this.#again(slot, call, started);
      }
      if (error instanceof EngineError && !error.ended) this.#release(slot, true);
      else await this.#stopped(slot, error, hook, deadlineMs);
      const failed = callErrorOf(this.#o.plugin, hook, error, this.#limits(deadlineMs));
      this.#o.metrics.failed(failed.kind);
      throw failed;
    } finally {
      const { micros: costMicros, memoryBytes } = slot.instance.cost;
      this.#memoryBytes = memoryBytes || this.#memoryBytes;
      this.#o.use.spent(costMicros);
      this.#lastMicros = costMicros;
      const milliseconds = performance.now() - started;
      if (!isMoved) this.#o.metrics.called({ hook, tenant: call.tenant, milliseconds, queuedMilliseconds, costMicros });
      this.#o.changed();
    }
  }

  /** Too long for the caller's thread: the same call, and all that come, on threads of the engine. */
  async #again(slot: Slot, call: Call, started: number): Promise<unknown> {
    this.#pure = false;
    const { plugin, log } = this.#o;
    log.warn("a plugin is too slow to be called on the caller's thread", { plugin, hook: call.functionName });
    await this.#instances.discard(slot);
    return await this.call(call, started);
  }

  /** The manifest's for this hook; a caller may ask for less. */
  deadlineMs(hook: string, wanted: number): number {
    const { hookDeadlinesMs, deadlineMs } = this.spec.limits;
    return Math.min(hookDeadlinesMs[hook] ?? deadlineMs, wanted);
  }

  /** An answer told of the hook's own failure: counted, and the error of a call that fails. */
  failed(hook: string, failure: Failure): PluginCallError {
    const { plugin, metrics } = this.#o;
    const failed = callErrorOf(plugin, hook, new EngineError("failure", failure.message, failure), this.#limits(0));
    metrics.failed(failed.kind);
    return failed;
  }

  /** The caller could not use what the hook answered. The instance did nothing that it must not: it goes on. */
  refused(hook: string, why: string): void {
    this.#o.metrics.failed("invalid");
    this.reason = `refused in ${hook}: ${why.slice(0, REASON_CHARACTERS_MAX)}`;
    this.#o.changed();
  }

  /** What an error tells. */
  #limits(deadlineMs: number) {
    return { ...this.spec.limits, version: this.spec.version, deadlineMs };
  }

  #unavailable(hook: string, why: string): PluginCallError {
    this.#o.metrics.failed("unavailable");
    return new PluginCallError(this.#o.plugin, hook, "unavailable", why);
  }

  #acquire(tenant: string, deadlineMs: number, hook: string): Slot | Promise<Slot> {
    if (["absent", "draining", "quarantined"].includes(this.state)) {
      throw this.#unavailable(hook, this.reason || `the plugin is ${this.state}`);
    }
    // Who cannot live to see the next instance is not kept waiting for it.
    if (this.state === "backing-off" && this.#retryAt - performance.now() > deadlineMs) {
      throw this.#unavailable(hook, this.reason);
    }
    const slot = this.state === "serving" && this.#queue.length === 0 ? this.#instances.take(tenant) : undefined;
    if (slot) return slot === "make" ? this.#make(tenant, hook) : slot;
    if (this.#queue.length >= this.spec.limits.queue) throw this.#unavailable(hook, "its queue is full");
    return this.#wait(tenant, deadlineMs, hook);
  }

  #wait(tenant: string, deadlineMs: number, hook: string): Promise<Slot> {
    return new Promise((resolve, reject) => {
      let over = false;
      const waiting: Waiting = {
        tenant,
        wake: (slot) => {
          clearTimeout(timer);
          // Its deadline passed while an instance was being made for it: somebody else takes that.
          if (over) return slot && this.#release(slot, false);
          if (slot) resolve(slot);
          else reject(this.#unavailable(hook, this.reason || `the plugin is ${this.state}`));
        },
      };
      const timer = setTimeout(() => {
        over = true;
        const place = this.#queue.indexOf(waiting);
        if (place >= 0) this.#queue.splice(place, 1);
        const busy = this.#instances.lack || "all instances were busy until the deadline";
        const why = this.state === "serving" ? busy : this.reason;
        reject(this.#unavailable(hook, why || `still ${this.state} at the deadline`));
      }, deadlineMs);
      this.#queue.push(waiting);
      this.#feed();
    });
  }

  /** Gives instances to those who wait, as long as there are some. */
  #feed(): void {
    while (this.state === "serving") {
      const waiting = this.#queue[0];
      if (!waiting) return;
      const slot = this.#instances.take(waiting.tenant);
      if (!slot) return;
      this.#queue.shift();
      if (slot !== "make") waiting.wake(slot);
      else this.#make(waiting.tenant, "start").then(waiting.wake, () => waiting.wake(undefined));
    }
  }

  /** A new instance on a place that is taken already. */
  async #make(tenant: string | undefined, hook: string): Promise<Slot> {
    try {
      return await this.#instantiate(tenant);
    } catch (error) {
      this.#instances.release();
      this.reason = messageOf(error);
      this.#backOff("failed");
      throw this.#unavailable(hook, this.reason);
    }
  }

  async #instantiate(tenant: string | undefined): Promise<Slot> {
    const component = this.#component;
    if (!component) throw new Error("the component is not compiled");
    const deadlineMs = Math.max(this.spec.limits.deadlineMs, START_MS_MIN);
    const slot = { tenant, usedAt: performance.now(), context: this.#startContext(deadlineMs) } as Slot;
    slot.instance = await component.instantiate({
      memoryBytesMax: this.spec.limits.memoryMiB * 1024 * 1024,
      deadlineMs,
      ...(this.spec.limits.fuel === undefined ? {} : { fuelMax: this.spec.limits.fuel }),
      crossingBytesMax: this.#o.use.crossingBytesMax,
      own: this.#o.own,
      pure: this.#pure,
      rests: this.#o.use.isTenants,
      host: (interfaceName, functionName, args) => this.#hostCall(slot, interfaceName, functionName, args),
    });
    try {
      await this.#o.prepare(async (interfaceName, functionName, args) => {
        slot.context = this.#startContext(deadlineMs);
        await slot.instance.call(interfaceName, functionName, args, deadlineMs);
      });
    } catch (error) {
      await slot.instance.discard();
      throw error;
    }
    this.#memoryBytes = slot.instance.cost.memoryBytes || this.#memoryBytes;
    return slot;
  }

  async #hostCall(slot: Slot, interfaceName: string, functionName: string, args: unknown[]): Promise<unknown> {
    const host = this.#o.host(slot.context);
    // The engine tells lines when it pleases, and so many of them: the guest does not wait for that.
    if (interfaceName !== "capstan:plugin/log") await this.#o.use.crosses();
    return await host(interfaceName, functionName, args);
  }

  #startContext(deadlineMs: number): CallContext {
    return { tenant: this.#o.use.tenant, hook: "start", deadlineAt: this.#o.clock.now() + deadlineMs };
  }

  #release(slot: Slot, used: boolean): void {
    if (this.state === "draining") {
      void this.#instances.discard(slot);
      if (this.#instances.live === 0) this.#event("drained");
      return;
    }
    this.#instances.putBack(slot, used);
    this.#feed();
  }

  async #stopped(slot: Slot, error: unknown, hook: string, deadlineMs: number): Promise<void> {
    this.#o.metrics.restarts++;
    this.#stopsInARow++;
    const { plugin } = this.#o;
    const { kind, why } = callErrorOf(plugin, hook, error, this.#limits(deadlineMs));
    this.reason = `stopped in ${hook} (${kind}): ${why.slice(0, REASON_CHARACTERS_MAX)}`;
    this.#o.log.warn("a plugin's instance was stopped", { plugin, hook, kind, error: why });
    await this.#instances.discard(slot);
    if (this.state === "draining") {
      if (this.#instances.live === 0) this.#event("drained");
    } else if (this.#instances.live === 0) this.#backOff("stopped");
    else this.#feed();
  }

  #backOff(event: "failed" | "stopped"): void {
    if (event === "failed") this.#stopsInARow++;
    this.#event(event);
    if (this.state !== "backing-off") return;
    if (this.#stopsInARow >= STOPS_UNTIL_QUARANTINE) {
      this.reason = `quarantined after ${this.#stopsInARow} stops in a row: ${this.reason}`;
      this.#event("gaveUp");
      for (const waiting of this.#queue.splice(0)) waiting.wake(undefined);
      return;
    }
    clearTimeout(this.#timer);
    const wait = Math.min(BACKOFF_MS.max, BACKOFF_MS.first * 2 ** (this.#stopsInARow - 1));
    this.#retryAt = performance.now() + wait;
    this.#timer = setTimeout(() => {
      this.#event("retry");
      void this.#bringUp();
    }, wait).unref();
  }

  /** From fetching to serving; what was fetched and compiled before is not done again. */
  async #bringUp(): Promise<void> {
    const steps: [StateEvent, () => Promise<void>][] = [
      ["fetched", () => (this.#component ? Promise.resolve() : this.#o.fetch())],
      ["compiled", () => this.#compile()],
      ["warmed", () => this.#warm()],
    ];
    try {
      for (const [event, step] of steps) {
        await step();
        if (this.state === "draining" || this.state === "absent") return void (await this.#freeAfterDrain());
        this.#event(event);
      }
    } catch (error) {
      if (this.state === "draining") return this.#event("drained");
      this.reason = messageOf(error);
      this.#o.log.warn("a plugin could not be started", { plugin: this.#o.plugin, error: this.reason });
      this.#backOff("failed");
      return;
    }
    this.#feed();
  }

  async #compile(): Promise<void> {
    if (!this.#component) this.#component = await this.#o.load();
  }

  async #warm(): Promise<void> {
    // Where there is no place for it now, it is made when it is called for.
    if (this.#o.lazy || this.#instances.live > 0 || !this.#instances.reserve()) return;
    try {
      this.#instances.putBack(await this.#instantiate(undefined), true);
    } catch (error) {
      this.#instances.release();
      throw error;
    }
  }

  async #freeAfterDrain(): Promise<void> {
    await this.#instances.discardIdle();
    if (this.#instances.live === 0) this.#event("drained");
  }

  #event(event: StateEvent): void {
    const before = this.state;
    this.state = next(before, event);
    if (this.state === before) return;
    if (this.state === "serving" && this.#stopsInARow === 0) this.reason = "";
    if (["serving", "backing-off", "quarantined", "absent"].includes(this.state)) {
      for (const resolve of this.#settled.splice(0)) resolve();
    }
    this.#o.changed();
  }
}
