/** Keeps one nftables table true to its parts: whole at the start and after a failure, otherwise only what changed. */
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { RunProgram } from "../host/program.ts";
import { type Part, RuleParts, type Updates } from "./parts.ts";
import type { Ruleset } from "./ruleset.ts";
import { createNftTable } from "./table.ts";

export interface TableLoopOptions<P extends Part> {
  /** With its family: "ip NAME". */
  table: string;
  /** What the rules are of, in the log: "services". */
  what: string;
  /** There before any part. */
  base: Ruleset;
  /** Sets of the base that several parts fill. */
  sharedSets: ReadonlySet<string>;
  /** All parts there are now. */
  keys(): Iterable<string>;
  /** Undefined for a part that is gone or needs no rules. */
  render(key: string): P | undefined;
  /** After the rules are in the kernel. */
  written?(updates: Updates<P>, before: (key: string) => P | undefined): Promise<void>;
  log: Log;
  signal: AbortSignal;
  run: RunProgram;
}

/** Changes that come together are written together. */
const GATHER_MS = 20;
const RETRY_MS = 2_000;
const CHECK_EVERY_MS = 30_000;

export class TableLoop<P extends Part> {
  private dirty = new Set<string>();
  private urgent = false;
  private wake: () => void = () => undefined;
  private waiting: (() => void)[] = [];
  private readonly parts: RuleParts<P>;
  private readonly options: TableLoopOptions<P>;

  constructor(options: TableLoopOptions<P>) {
    this.options = options;
    this.parts = new RuleParts(options.table, options.sharedSets);
  }

  /** This part may have changed. */
  touch(key: string): void {
    this.dirty.add(key);
    this.wake();
  }

  /** Resolves when everything touched so far is in the kernel, without waiting for company; when the loop has ended, too. */
  flush(): Promise<void> {
    if (this.options.signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      this.waiting.push(resolve);
      this.urgent = true;
      this.wake();
    });
  }

  /** Until the signal aborts. `synced` is called when all parts are in the kernel for the first time. */
  async run(synced: () => void): Promise<void> {
    const { signal, log, what } = this.options;
    const table = createNftTable(this.options.table, this.options.run);
    let whole = true;
    while (!signal.aborted) {
      const served = this.waiting;
      this.waiting = [];
      this.urgent = false;
      try {
        if (whole) {
          await this.writeAll(table);
          whole = false;
          synced();
        } else if (this.dirty.size > 0) await this.writeChanges(table);
        else if (served.length === 0 && !(await table.present())) {
          log.warn("rules were removed by somebody else and are written anew", { what, table: this.options.table });
          whole = true;
          continue;
        }
        for (const resolve of served) resolve();
        await this.pause(CHECK_EVERY_MS, () => this.dirty.size > 0 || this.urgent);
        await this.pause(GATHER_MS, () => this.urgent);
      } catch (error) {
        log.error("rules could not be written and are tried again", {
          what,
          error: messageOf(error),
          retryMs: RETRY_MS,
        });
        whole = true;
        this.waiting.push(...served);
        await delay(RETRY_MS, signal);
      }
    }
    for (const resolve of this.waiting) resolve();
  }

  private async writeAll(table: ReturnType<typeof createNftTable>): Promise<void> {
    const { base, keys, render, log, what } = this.options;
    this.dirty = new Set();
    this.parts.clear();
    const updates = new Map([...keys()].map((key) => [key, render(key)]));
    this.parts.change(updates).commit();
    await table.replace(this.parts.all(base));
    log.info("rules are written", { what, parts: updates.size, table: this.options.table });
  }

  private async writeChanges(table: ReturnType<typeof createNftTable>): Promise<void> {
    const keys = this.dirty;
    this.dirty = new Set();
    const updates = new Map([...keys].map((key) => [key, this.options.render(key)]));
    const change = this.parts.change(updates);
    await table.transact(change.script);
    change.commit();
    await this.options.written?.(updates, change.before);
  }

  /** Until the condition holds after a wake-up, for so long at most. */
  private pause(ms: number, over: () => boolean): Promise<void> {
    const { signal } = this.options;
    if (over() || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener("abort", done);
        this.wake = () => undefined;
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal.addEventListener("abort", done);
      this.wake = () => {
        if (over()) done();
      };
    });
  }
}

/** Runs the tables of several families until the signal aborts; `synced` is called once each has been written. */
export async function runTables<P extends Part>(loops: readonly TableLoop<P>[], synced: () => void): Promise<void> {
  const waiting = new Set(loops);
  const done = (loop: TableLoop<P>) => {
    waiting.delete(loop);
    if (waiting.size === 0) synced();
  };
  await Promise.all(loops.map((loop) => loop.run(() => done(loop))));
}
