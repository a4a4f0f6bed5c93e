/**
 * What one process says about its plugins, written into their status: changed states within two seconds, counts that grew every ten. Each
 * write goes to every process that follows plugins.
 */
import { type Log, messageOf } from "#platform/base/log.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { PLUGINS, type PluginHostStatus } from "#sdk/plugin/manifest.ts";

const STATUS_EVERY_MS = 2000;
const COUNTS_EVERY_MS = 10_000;

export interface ReporterOptions {
  /** Together the key in Plugin.status.hosts. */
  role: string;
  instance: string;
  /** Root's; undefined: nothing is written. */
  client: Client | undefined;
  log: Log;
  /** By "name", or "tenant/name" of another tenant's than root. */
  status(plugin: string): PluginHostStatus | undefined;
}

export class StatusReporter {
  readonly #o: ReporterOptions;
  readonly #changed = new Set<string>();
  /** What was written last: state and reason, and when, by performance.now(). */
  readonly #written = new Map<string, { told: string; at: number }>();
  #timer: NodeJS.Timeout | undefined;
  #writing: Promise<void> = Promise.resolve();

  constructor(options: ReporterOptions) {
    this.#o = options;
  }

  changed(plugin: string): void {
    this.#changed.add(plugin);
  }

  start(): void {
    this.#timer = setInterval(() => this.#report(), STATUS_EVERY_MS).unref();
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  /** Resolves when nothing is being written any more. */
  written(): Promise<void> {
    return this.#writing;
  }

  #report(): void {
    const { client } = this.#o;
    const now = performance.now();
    const names = [...this.#changed].filter((name) => this.#isDue(name, now));
    for (const name of names) this.#changed.delete(name);
    if (client) this.#writing = this.#writing.then(() => this.#write(client, names));
  }

  #isDue(name: string, now: number): boolean {
    const written = this.#written.get(name);
    return !written || now - written.at >= COUNTS_EVERY_MS || written.told !== tellingOf(this.#o.status(name));
  }

  async #write(client: Client, names: readonly string[]): Promise<void> {
    const key = `${this.#o.role}/${this.#o.instance}`;
    for (const name of names) {
      const status = this.#o.status(name);
      if (!status) {
        this.#written.delete(name);
        continue;
      }
      const [plugin = "", tenant = "root"] = name.split("/").reverse();
      const body = { status: { hosts: { [key]: { ...status } } } } as unknown as JsonObject;
      const at = tenant === "root" ? client : client.tenant(tenant);
      try {
        await at.patch(PLUGINS, { name: plugin }, { type: "merge", body }, { subresource: "status" });
        this.#written.set(name, { told: tellingOf(status), at: performance.now() });
      } catch (error) {
        if (isReason(error, "NotFound")) continue;
        this.#changed.add(name);
        this.#o.log.debug("a plugin's status could not be written", { plugin: name, error: messageOf(error) });
      }
    }
  }
}

/** What somebody waits for, beside the counts. */
const tellingOf = (status: PluginHostStatus | undefined): string =>
  JSON.stringify([status?.state, status?.reason, status?.digest, status?.restarts]);
