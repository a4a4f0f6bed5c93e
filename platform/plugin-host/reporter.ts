/** What one process says about its plugins, written into their status: changed ones only, at most every two seconds. */
import { type Log, messageOf } from "#platform/base/log.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import { isReason } from "#sdk/api/status.ts";
import type { Client } from "#sdk/client/port.ts";
import { PLUGINS, type PluginHostStatus } from "#sdk/plugin/manifest.ts";

const STATUS_EVERY_MS = 2000;

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
    const names = [...this.#changed];
    this.#changed.clear();
    if (client) this.#writing = this.#writing.then(() => this.#write(client, names));
  }

  async #write(client: Client, names: readonly string[]): Promise<void> {
    const key = `${this.#o.role}/${this.#o.instance}`;
    for (const name of names) {
      const status = this.#o.status(name);
      if (!status) continue;
      const [plugin = "", tenant = "root"] = name.split("/").reverse();
      const body = { status: { hosts: { [key]: { ...status } } } } as unknown as JsonObject;
      const at = tenant === "root" ? client : client.tenant(tenant);
      try {
        await at.patch(PLUGINS, { name: plugin }, { type: "merge", body }, { subresource: "status" });
      } catch (error) {
        if (isReason(error, "NotFound")) continue;
        this.#changed.add(name);
        this.#o.log.debug("a plugin's status could not be written", { plugin: name, error: messageOf(error) });
      }
    }
  }
}
