/** kill -9 of any process loses no object and no running container; down and up bring the same pods back. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { paths } from "#platform/main/config.ts";
import { isAlive, readIdentity } from "#platform/main/processes.ts";
import { readReport } from "#platform/main/supervisor.ts";
import type { Pod } from "#sdk/api/generated/types.ts";
import type { KubeList, KubeObject } from "#sdk/api/object.ts";
import { eventually, type Instance, skipWithoutNode, startInstance } from "../support/instance.ts";

describe("kill -9 loses nothing", { skip: skipWithoutNode }, () => {
  let capstan: Instance;
  let names: string[] = [];
  const runDir = () => paths(capstan.dataDir).run;
  const pods = async () => (JSON.parse(await capstan.kubectl("get", "pods", "-o", "json")) as KubeList<Pod>).items;
  const uids = (list: Pod[]) => list.map((pod) => pod.metadata.uid).sort();
  const containers = (list: Pod[]) =>
    list.flatMap((pod) => pod.status?.containerStatuses?.map((c) => c.containerID) ?? []).sort();
  const kill = (name: string) => {
    const who = readIdentity(runDir(), name);
    assert.ok(isAlive(who), `${name} does not run`);
    process.kill(who.pid, "SIGKILL");
    return who.pid;
  };
  const readyAgain = (name: string, oldPid: number) =>
    eventually(`${name} ready again`, async () => {
      const p = readReport(runDir())?.[name];
      return p?.state === "ready" && p.pid !== oldPid;
    });

  before(async () => {
    capstan = await startInstance();
    await capstan.kubectl("apply", "-f", "examples/hello/");
    await capstan.kubectl("rollout", "status", "deployment/hello", "--timeout=90s");
    names = Object.keys(readReport(runDir()) ?? {}).filter((name) => name !== "migrate");
  });
  after(async () => {
    await capstan?.remove();
  });

  it("of each role: objects and container ids stay, and the role works again", async () => {
    const beforeKill = await pods();
    for (const [index, name] of names.entries()) {
      await readyAgain(name, kill(name));
      const marker = `after-${index}`;
      await eventually(
        `a write after ${name} was killed`,
        async () =>
          (await capstan.tryKubectl("create", "configmap", marker)).code === 0 ||
          (await capstan.tryKubectl("get", "configmap", marker)).code === 0,
      );
      const now = await eventually("the pods", () => pods());
      assert.deepEqual(uids(now), uids(beforeKill), `pods after ${name} was killed`);
      assert.deepEqual(containers(now), containers(beforeKill), `containers after ${name} was killed`);
    }
    const markers = (JSON.parse(await capstan.kubectl("get", "configmaps", "-o", "json")) as KubeList<KubeObject>)
      .items;
    assert.equal(markers.filter((m) => m.metadata.name?.startsWith("after-")).length, names.length);
    await capstan.kubectl("scale", "deployment/hello", "--replicas=4");
    await capstan.kubectl("rollout", "status", "deployment/hello", "--timeout=90s");
  });

  it("of the supervisor: the roles go on, and the next up adopts them", async () => {
    const beforeKill = await pods();
    const pids = new Map(names.map((name) => [name, readIdentity(runDir(), name)?.pid]));
    kill("supervisor");
    assert.deepEqual(containers(await pods()), containers(beforeKill));
    await capstan.up();
    for (const [name, pid] of pids) assert.equal(readIdentity(runDir(), name)?.pid, pid, `${name} was started anew`);
    assert.deepEqual(containers(await pods()), containers(beforeKill));
  });

  it("down stops everything, pods too, and up brings the same pods back", async () => {
    const beforeDown = await pods();
    await capstan.down();
    for (const name of [...names, "supervisor"])
      assert.equal(isAlive(readIdentity(runDir(), name)), false, `${name} still runs`);
    await capstan.up();
    const again = await eventually("the same pods running", async () => {
      const list = await pods();
      const ready = list.every((pod) => pod.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True"));
      const restarted = list.every((pod) => (pod.status?.containerStatuses?.[0]?.restartCount ?? 0) > 0);
      return ready && restarted && list;
    });
    assert.deepEqual(uids(again), uids(beforeDown));
  });
});
