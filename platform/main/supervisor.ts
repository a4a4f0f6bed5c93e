/**
 * One supervisor keeps every role running as a process of its own. It holds nothing that is not in files: when it is killed, the roles
 * go on, and the next one adopts them by their identities (processes.ts).
 *
 *   state \ event   needs ready   prepared   said ready   died or failed   pause over   stop
 *   waiting         preparing     –          –            –                –            stopped
 *   preparing       –             starting   –            backoff          –            stopped
 *   starting        –             –          ready        backoff          –            signal, then stopped
 *   ready           –             –          –            backoff          –            signal, then stopped
 *   backoff         –             –          –            –                waiting      stopped
 *   stopped         –             –          –            –                –            –
 */
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { delay } from "#platform/base/clock.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import {
  boundLog,
  forget,
  type Identity,
  isAlive,
  launch,
  type ProcessSpec,
  type ProcessState,
  readIdentity,
  saysReady,
} from "./processes.ts";

export interface ProcessReport {
  state: ProcessState;
  pid?: number;
  restarts: number;
  /** Why it ended last. */
  lastExit?: string;
}
export type SupervisorReport = Record<string, ProcessReport>;

interface Supervised {
  spec: ProcessSpec;
  state: ProcessState;
  who?: Identity;
  restarts: number;
  lastExit?: string;
  pauseMs: number;
  resumeAt: number;
  startedAt: number;
  probing: boolean;
}

const PAUSE_MS_MIN = 200;
const PAUSE_MS_MAX = 10_000;
const HEALTHY_MS = 30_000;
const TICK_MS = 100;
const STOP_MS_MAX = 20_000;

const reportFile = (runDir: string) => join(runDir, "supervisor-report.json");

export function readReport(runDir: string): SupervisorReport | undefined {
  try {
    return JSON.parse(readFileSync(reportFile(runDir), "utf8")) as SupervisorReport;
  } catch {
    return undefined;
  }
}

/** What an earlier supervisor said last is no news once another one starts. */
export const forgetReport = (runDir: string): void => rmSync(reportFile(runDir), { force: true });

export class Supervisor {
  readonly #processes: Supervised[];
  readonly #runDir: string;
  readonly #logsDir: string;
  readonly #log: Log;
  #published = "";

  constructor(specs: ProcessSpec[], options: { runDir: string; logsDir: string; log: Log }) {
    this.#runDir = options.runDir;
    this.#logsDir = options.logsDir;
    this.#log = options.log;
    mkdirSync(this.#runDir, { recursive: true });
    this.#processes = specs.map((spec) => ({
      spec,
      state: "waiting",
      restarts: 0,
      pauseMs: PAUSE_MS_MIN,
      resumeAt: 0,
      startedAt: 0,
      probing: false,
    }));
  }

  /** Runs until the signal aborts; what then still runs is stopped by `stopAll`. */
  async run(signal: AbortSignal): Promise<void> {
    for (const p of this.#processes) this.#adopt(p);
    for (let tick = 0; !signal.aborted; tick++) {
      for (const p of this.#processes) this.#advance(p);
      if (tick % 100 === 0) for (const p of this.#processes) boundLog(join(this.#logsDir, `${p.spec.name}.log`));
      this.#publish();
      await delay(TICK_MS, signal);
    }
  }

  /** In the reverse order of the list, one after the other, so that nothing loses what it needs for an orderly end. */
  async stopAll(between?: (name: string) => Promise<void>): Promise<void> {
    for (const p of [...this.#processes].reverse()) {
      await this.#stop(p);
      await between?.(p.spec.name);
    }
  }

  #adopt(p: Supervised): void {
    const who = readIdentity(this.#runDir, p.spec.name);
    if (!isAlive(who)) return;
    Object.assign(p, { who, state: "starting", startedAt: Date.now() });
    this.#log.info("adopted a running process", { process: p.spec.name, pid: who.pid });
  }

  #advance(p: Supervised): void {
    const now = Date.now();
    switch (p.state) {
      case "waiting":
        if (p.spec.after.every((name) => this.#isReady(name))) this.#prepare(p);
        return;
      case "preparing":
        return;
      case "starting":
        if (!isAlive(p.who)) this.#ended(p, now);
        else if (p.spec.probe) this.#probe(p);
        else if (saysReady(this.#runDir, p.spec.name, p.who)) p.state = "ready";
        return;
      case "ready":
        if (!isAlive(p.who)) this.#ended(p, now);
        else if (now - p.startedAt > HEALTHY_MS) p.pauseMs = PAUSE_MS_MIN;
        return;
      case "backoff":
        if (now >= p.resumeAt) p.state = "waiting";
        return;
      case "stopped":
        return;
    }
  }

  #isReady(name: string): boolean {
    const p = this.#processes.find((other) => other.spec.name === name);
    return p === undefined || p.state === "ready";
  }

  #prepare(p: Supervised): void {
    if (!p.spec.prepare) {
      this.#launch(p);
      return;
    }
    p.state = "preparing";
    p.spec.prepare().then(
      () => p.state === "preparing" && this.#launch(p),
      (error: unknown) => {
        p.lastExit = messageOf(error);
        if (p.state === "preparing") this.#ended(p, Date.now());
      },
    );
  }

  #launch(p: Supervised): void {
    let started: ReturnType<typeof launch>;
    try {
      started = launch(p.spec, this.#runDir, this.#logsDir);
    } catch (error) {
      p.lastExit = messageOf(error);
      this.#ended(p, Date.now());
      return;
    }
    p.startedAt = Date.now();
    p.state = "starting";
    p.who = readIdentity(this.#runDir, p.spec.name);
    void started?.exited.then((why) => {
      p.lastExit = why;
    });
  }

  #probe(p: Supervised): void {
    if (p.probing || !p.spec.probe) return;
    p.probing = true;
    p.spec
      .probe()
      .then((ready) => {
        if (ready && p.state === "starting") p.state = "ready";
      })
      .catch((error: unknown) => this.#log.debug("probe failed", { process: p.spec.name, error: String(error) }))
      .finally(() => {
        p.probing = false;
      });
  }

  #ended(p: Supervised, now: number): void {
    if (p.spec.once && p.who && saysReady(this.#runDir, p.spec.name, p.who)) {
      p.state = "ready";
      return;
    }
    p.state = "backoff";
    p.restarts++;
    p.resumeAt = now + p.pauseMs;
    p.pauseMs = Math.min(p.pauseMs * 2, PAUSE_MS_MAX);
    this.#log.warn("a process ended; starting it again", {
      process: p.spec.name,
      why: p.lastExit,
      restarts: p.restarts,
    });
  }

  async #stop(p: Supervised): Promise<void> {
    p.state = "stopped";
    const who = p.who;
    if (isAlive(who)) {
      process.kill(who.pid, p.spec.stopSignal ?? "SIGTERM");
      const deadline = Date.now() + (p.spec.stopMsMax ?? STOP_MS_MAX);
      while (isAlive(who) && Date.now() < deadline) await delay(50);
      if (isAlive(who)) {
        this.#log.warn("did not stop in time: killed", { process: p.spec.name, pid: who.pid });
        process.kill(who.pid, "SIGKILL");
      }
    }
    forget(this.#runDir, p.spec.name);
    this.#publish();
  }

  #publish(): void {
    const report: SupervisorReport = {};
    for (const p of this.#processes)
      report[p.spec.name] = {
        state: p.state,
        restarts: p.restarts,
        ...(p.who && p.state !== "waiting" ? { pid: p.who.pid } : {}),
        ...(p.lastExit ? { lastExit: p.lastExit } : {}),
      };
    const text = JSON.stringify(report);
    if (text === this.#published && existsSync(reportFile(this.#runDir))) return;
    try {
      writeFileSync(`${reportFile(this.#runDir)}.new`, text);
      renameSync(`${reportFile(this.#runDir)}.new`, reportFile(this.#runDir));
      this.#published = text;
    } catch {
      // A full disk: the next tick tries again. What is supervised matters more than what is said of it.
    }
  }
}
