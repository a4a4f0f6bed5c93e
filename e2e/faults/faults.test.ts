/**
 * A node whose processes are killed at random while pods come and go ends as declared, with nothing run twice and nothing left behind.
 * FAULTS: how many kills (6 by default; 200 is the whole suite); FAULTS_SEED repeats a run.
 */
import assert from "node:assert/strict";
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { delay } from "#platform/base/clock.ts";
import { type Config, paths } from "#platform/main/config.ts";
import { isAlive, readIdentity } from "#platform/main/processes.ts";
import { readReport } from "#platform/main/supervisor.ts";
import type { Pod } from "#sdk/api/generated/types.ts";
import type { KubeList } from "#sdk/api/object.ts";
import { eventually, type Instance, skipWithoutNode, startInstance } from "../support/instance.ts";
import { Random } from "../support/random.ts";
import { leaks } from "./leaks.ts";

const KILLS = Number(process.env["FAULTS"] ?? 6);
const SEED = Number(process.env["FAULTS_SEED"] ?? Date.now() % 1_000_000);
const NODE = "node-1";
const SETTLE_MS = 180_000;

const pod = (name: string): object => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, labels: { comes: "and-goes" } },
  spec: {
    terminationGracePeriodSeconds: 1,
    containers: [
      {
        name: "main",
        image: "busybox",
        imagePullPolicy: "IfNotPresent",
        command: ["sh", "-c", "trap 'exit 0' TERM; sleep 100000 & wait"],
        volumeMounts: [
          { name: "memory", mountPath: "/memory" },
          { name: "memory", mountPath: "/part", subPath: "part" },
        ],
      },
    ],
    volumes: [{ name: "memory", emptyDir: { medium: "Memory" } }],
  },
});

describe("random kills of a node's processes", { skip: skipWithoutNode }, () => {
  let capstan: Instance;
  let config: Config;
  before(async () => {
    capstan = await startInstance();
    config = JSON.parse(readFileSync(join(capstan.dataDir, "config.json"), "utf8")) as Config;
  });
  after(async () => await capstan?.remove());

  const pods = async () =>
    (JSON.parse(await capstan.kubectl("get", "pods", "-A", "-o", "json")) as KubeList<Pod>).items;
  const role = (name: string) => {
    const who = readIdentity(paths(capstan.dataDir).run, name);
    return isAlive(who) ? who.pid : undefined;
  };
  /** Processes whose command line names this instance's containerd. */
  const shims = () =>
    readdirSync("/proc")
      .filter((name) => /^\d+$/.test(name))
      .filter((pid) => {
        try {
          const line = readFileSync(`/proc/${pid}/cmdline`, "utf8");
          return line.includes("containerd-shim") && line.includes(capstan.dataDir);
        } catch {
          return false;
        }
      })
      .map(Number);

  /** What the agent could not do, the latest last. */
  const complaints = () =>
    readFileSync(join(capstan.dataDir, "logs", `node-${NODE}.log`), "utf8")
      .split("\n")
      .filter((line) => line.includes('"level":"warn"'))
      .slice(-12)
      .join("\n");

  it(`${KILLS} of them (seed ${SEED}) leave what was declared and nothing else`, async () => {
    const random = new Random(SEED);
    await capstan.kubectl("apply", "-f", "examples/hello/");
    await capstan.kubectl("rollout", "status", "deployment/hello", "--timeout=120s");
    const victims: Record<string, () => number | undefined> = {
      agent: () => role(`node-${NODE}`),
      containerd: () => role(`containerd-${NODE}`),
      shim: () => {
        const all = shims();
        return all.length === 0 ? undefined : random.pick(all);
      },
    };
    const kept = new Set<string>();
    const killed: string[] = [];
    for (let i = 0; i < KILLS; i++) {
      const name = `faulty-${i}`;
      const file = JSON.stringify(pod(name));
      await eventually("a pod is made", async () => (await create(capstan, file)) || undefined);
      kept.add(name);
      if (kept.size > 4) {
        const gone = random.pick([...kept]);
        kept.delete(gone);
        await capstan.tryKubectl("delete", "pod", gone, "--wait=false");
      }
      await delay(random.below(1_500));
      const what = random.pick(Object.keys(victims));
      const pid = victims[what]?.();
      if (pid === undefined) continue;
      try {
        process.kill(pid, "SIGKILL");
        killed.push(what);
      } catch {
        // It ended by itself meanwhile.
      }
    }
    await eventually(
      "every role is ready",
      async () =>
        Object.values(readReport(paths(capstan.dataDir).run) ?? {}).every(
          ({ state }) => state === "ready" || state === "stopped",
        ),
      SETTLE_MS,
    );
    const wanted = [...kept].sort();
    let seen: string[] = [];
    await eventually(
      "the pods that were kept run, and the others are gone",
      async () => {
        const all = await pods();
        const own = all.filter(({ metadata }) => metadata.labels?.["comes"] !== undefined);
        seen = all.map(
          ({ metadata, status }) => `${metadata.name} ${status?.phase}${metadata.deletionTimestamp ? ", ending" : ""}`,
        );
        const isReady = (one: Pod) =>
          one.status?.conditions?.some(({ type, status }) => type === "Ready" && status === "True");
        return (
          all.every(isReady) &&
          JSON.stringify(own.map(({ metadata }) => metadata.name).sort()) === JSON.stringify(wanted)
        );
      },
      SETTLE_MS,
    ).catch((error: unknown) =>
      assert.fail(
        `${error instanceof Error ? error.message : error}; ${seen.join(", ")}; killed ${killed.join()}\n${complaints()}`,
      ),
    );
    let left: string[] = [];
    await eventually(
      "nothing is left behind",
      async () => {
        const [node] = config.nodes;
        assert.ok(node);
        const { dataDir, instance } = config;
        left = leaks({ dataDir, instance, node, pods: await pods() });
        return left.length === 0;
      },
      SETTLE_MS,
    ).catch(() => assert.fail(`killed ${killed.join()}; left behind:\n${left.join("\n")}\n${complaints()}`));
  });
});

/** True when it is there, whoever answered. */
async function create(capstan: Instance, json: string): Promise<boolean> {
  const { metadata } = JSON.parse(json) as { metadata: { name: string } };
  const file = join(capstan.dataDir, "faulty-pod.json");
  writeFileSync(file, json);
  const made = await capstan.tryKubectl("create", "-f", file);
  return made.code === 0 || (await capstan.tryKubectl("get", "pod", metadata.name)).code === 0;
}
