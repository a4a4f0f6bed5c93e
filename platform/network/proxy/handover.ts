/**
 * Hands services to a component in place of the built-in rules: whole to one that comes, then what changed. The built-in rules serve until
 * it has made its own of everything, and again when it has gone. What it refuses is told again with all that came since.
 */
import { networkInterfaces } from "node:os";
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { ProxyDelta } from "#sdk/plugin/types.ts";
import type { ServiceComponent, Told } from "./component.ts";

export interface HandoverOptions {
  component: ServiceComponent;
  /** All services there are now. */
  keys(): Iterable<string>;
  /** The ports of one of them; none where it is gone or nobody's to program. */
  told(key: string): Told[];
  /** `serves` has changed: the built-in rules are to be written anew. */
  changed(): void;
  /** Left out: those of the machine's interfaces but loopback. */
  addresses?(): string[];
  log: Log;
  signal: AbortSignal;
}

/** Changes that come together are told together. */
const GATHER_MS = 20;
const RETRY_MS = 2_000;
/** How often the node's own addresses are looked at. */
const LOOK_MS = 10_000;

export class Handover {
  /** The component has made rules of all services: the built-in ones step back. */
  serves = false;
  private readonly options: HandoverOptions;
  private readonly dirty = new Set<string>();
  /** Which ports the component knows of a service. */
  private readonly known = new Map<string, readonly string[]>();
  private knownAddresses = "";
  /** The component that was told everything. */
  private informed: string | undefined;
  /** Something may have changed since the last step began. */
  private stirred = false;
  private wake: () => void = () => undefined;

  constructor(options: HandoverOptions) {
    this.options = options;
    const { component } = options;
    component.startsWith(() => this.whole());
    component.onChange(() => this.stir());
  }

  /** This service may have changed. */
  touch(key: string): void {
    this.dirty.add(key);
    this.stir();
  }

  private stir(): void {
    this.stirred = true;
    this.wake();
  }

  /** Until the signal aborts: the component's rules stay, as traffic outlives the process. */
  async run(): Promise<void> {
    const { signal, log } = this.options;
    while (!signal.aborted) {
      try {
        await this.step();
        await this.pause(LOOK_MS);
        await delay(GATHER_MS, signal);
      } catch (error) {
        log.error("the component of services did not follow and is told again", {
          component: this.options.component.current() ?? "",
          error: messageOf(error),
          retryMs: RETRY_MS,
        });
        await delay(RETRY_MS, signal);
      }
    }
  }

  private async step(): Promise<void> {
    const { component, log } = this.options;
    this.stirred = false;
    const now = component.current();
    if (now === undefined) return this.back();
    await this.tellAddresses(now);
    if (now !== this.informed) {
      const keys = [...this.dirty];
      this.dirty.clear();
      try {
        await component.render(this.whole());
      } catch (error) {
        for (const key of keys) this.dirty.add(key);
        throw error;
      }
      this.informed = now;
      log.info("services are programmed by a component", { component: now, services: this.known.size });
    } else if (this.dirty.size > 0) await this.tellChanges();
    if (this.serves) return;
    this.serves = true;
    this.options.changed();
  }

  private back(): void {
    this.informed = undefined;
    this.knownAddresses = "";
    this.dirty.clear();
    if (!this.serves) return;
    this.serves = false;
    this.options.log.info("services are programmed by the node's own rules again");
    this.options.changed();
  }

  private async tellAddresses(component: string): Promise<void> {
    const addresses = (this.options.addresses ?? ownAddresses)();
    const text = `${component} ${addresses.join(" ")}`;
    if (text === this.knownAddresses) return;
    await this.options.component.addresses(addresses);
    this.knownAddresses = text;
  }

  private whole(): ProxyDelta {
    this.known.clear();
    const delta = this.delta(this.options.keys());
    return { ...delta, whole: true, removed: [] };
  }

  private async tellChanges(): Promise<void> {
    const keys = [...this.dirty];
    this.dirty.clear();
    const before = new Map(keys.map((key) => [key, this.known.get(key)]));
    try {
      await this.options.component.render(this.delta(keys));
    } catch (error) {
      for (const [key, ids] of before) {
        this.dirty.add(key);
        // What both knew may be there still: told as removed once more where it has gone.
        const all = [...new Set([...(ids ?? []), ...(this.known.get(key) ?? [])])];
        if (all.length > 0) this.known.set(key, all);
      }
      throw error;
    }
  }

  /** Notes what the component knows from then on. */
  private delta(keys: Iterable<string>): ProxyDelta {
    const delta: ProxyDelta = { whole: false, services: [], endpoints: [], removed: [] };
    for (const key of keys) {
      const told = this.options.told(key);
      const ids = told.map(([port]) => port.id);
      delta.removed.push(...(this.known.get(key) ?? []).filter((id) => !ids.includes(id)));
      if (ids.length > 0) this.known.set(key, ids);
      else this.known.delete(key);
      for (const [port, endpoints] of told) {
        delta.services.push(port);
        delta.endpoints.push([port.id, endpoints]);
      }
    }
    return delta;
  }

  private pause(ms: number): Promise<void> {
    const { signal } = this.options;
    if (this.stirred || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", end);
        this.wake = () => undefined;
        resolve();
      };
      const timer = setTimeout(end, ms);
      signal.addEventListener("abort", end, { once: true });
      this.wake = end;
    });
  }
}

function ownAddresses(): string[] {
  const all = Object.values(networkInterfaces()).flatMap((list) => list ?? []);
  return [...new Set(all.filter(({ internal }) => !internal).map(({ address }) => address))].sort();
}
