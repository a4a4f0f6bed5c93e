/** Two nodes on one machine: each with its own network namespace and containerd, one cluster. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import { paths } from "#platform/main/config.ts";
import { isAlive, readIdentity } from "#platform/main/processes.ts";
import { readReport } from "#platform/main/supervisor.ts";
import type { Node, Pod, Service } from "#sdk/api/generated/types.ts";
import type { KubeList } from "#sdk/api/object.ts";
import { eventually, type Instance, skipWithoutNode, startInstance } from "../support/instance.ts";

/** Enough for chance to leave no replica out. */
const ASKED = 40;
const text = async (url: string) => (await fetch(url, { signal: AbortSignal.timeout(5_000) })).text();

describe("two nodes", { skip: skipWithoutNode }, () => {
  let capstan: Instance;
  const get = async <T>(...what: string[]) => JSON.parse(await capstan.kubectl("get", ...what, "-o", "json")) as T;
  const pods = async () => (await get<KubeList<Pod>>("pods", "-l", "app=hello")).items;
  const nodeOf = async (name: string) => get<Node>("node", name);
  const readiness = (node: Node) => node.status?.conditions?.find((c) => c.type === "Ready")?.status;
  const isReady = (pod: Pod) => pod.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True") === true;
  const agent = (node: string) => {
    const who = readIdentity(paths(capstan.dataDir).run, `node-${node}`);
    assert.ok(isAlive(who), `the agent of ${node} does not run`);
    return who.pid;
  };
  /** Names of the pods that answer; all connections are new ones. */
  async function answering(url: string): Promise<string[]> {
    const seen = new Set<string>();
    for (let i = 0; i < ASKED; i++) {
      const answer = await text(url);
      seen.add(/hello-[a-z0-9]+-[a-z0-9]+/.exec(answer)?.[0] ?? answer);
    }
    return [...seen].sort();
  }
  const names = async () => (await pods()).map((pod) => pod.metadata.name ?? "").sort();

  before(async () => {
    capstan = await startInstance({ nodes: 2 });
    await capstan.kubectl("apply", "-f", "examples/hello/");
    // Each pod leaves a lost node at once, and the replicas are spread.
    const soon = ["not-ready", "unreachable"].map((name) => ({
      key: `node.kubernetes.io/${name}`,
      operator: "Exists",
      effect: "NoExecute",
      tolerationSeconds: 2,
    }));
    const template = { spec: { tolerations: soon, terminationGracePeriodSeconds: 1 } };
    const patch = JSON.stringify({ spec: { replicas: 4, template } });
    await capstan.kubectl("patch", "deployment/hello", "-p", patch);
    await capstan.kubectl("rollout", "status", "deployment/hello", "--timeout=90s");
    await eventually("four pods and no old ones", async () => (await pods()).length === 4);
  });
  after(async () => {
    await capstan?.remove();
  });

  it("both are ready and both have pods of the example", async () => {
    const nodes = (await get<KubeList<Node>>("nodes")).items;
    assert.deepEqual(nodes.map((n) => [n.metadata.name, readiness(n)]).sort(), [
      ["node-1", "True"],
      ["node-2", "True"],
    ]);
    assert.deepEqual([...new Set((await pods()).map((pod) => pod.spec?.nodeName))].sort(), ["node-1", "node-2"]);
  });

  it("the host reaches every replica by the service's address, by both nodes' ports and by the load balancer", async () => {
    await capstan.kubectl("patch", "service/hello", "-p", '{"spec":{"type":"LoadBalancer"}}');
    const service = await eventually("the load balancer's address", async () => {
      const found = await get<Service>("service", "hello");
      return found.status?.loadBalancer?.ingress?.[0]?.ip !== undefined && found;
    });
    const expected = await names();
    const port = service.spec?.ports?.[0]?.nodePort;
    const addresses = (await get<KubeList<Node>>("nodes")).items.map(
      (n) => n.status?.addresses?.find((a) => a.type === "InternalIP")?.address,
    );
    const urls = [
      `http://${service.spec?.clusterIP}/`,
      ...addresses.map((address) => `http://${address}:${port}/`),
      `http://${service.status?.loadBalancer?.ingress?.[0]?.ip}/`,
    ];
    for (const url of urls) assert.deepEqual(await eventually(url, () => answering(url)), expected, url);
  });

  it("a pod of either node reaches every replica by name and by address, and each pod of the other node", async () => {
    const all = await pods();
    for (const node of ["node-1", "node-2"]) {
      const from = all.find((pod) => pod.spec?.nodeName === node)?.metadata.name ?? "";
      const script = `for i in $(seq ${ASKED}); do wget -qO- http://hello.default.svc.cluster.local/; done`;
      const said = await capstan.kubectl("exec", from, "--", "sh", "-c", script);
      assert.deepEqual([...new Set(said.match(/hello-[a-z0-9]+-[a-z0-9]+/g))].sort(), await names(), `from ${node}`);
      const other = all.find((pod) => pod.spec?.nodeName !== node);
      const direct = await capstan.kubectl("exec", from, "--", "wget", "-qO-", `http://${other?.status?.podIP}:8080/`);
      assert.ok(direct.includes(other?.metadata.name ?? "?"), direct);
    }
  });

  it("logs and exec find the agent of each node", async () => {
    for (const pod of await pods()) {
      const name = pod.metadata.name ?? "";
      await capstan.kubectl("exec", name, "--", "sh", "-c", `echo of-${name} > /proc/1/fd/1`);
      await eventually(`the log of ${name}`, async () => (await capstan.kubectl("logs", name)).includes(`of-${name}`));
    }
  });

  it("kill -9 of an agent leaves its containers and the services as they are", async () => {
    const containers = async () =>
      (await pods()).flatMap((p) => p.status?.containerStatuses?.map((c) => c.containerID));
    const [before, url] = [await containers(), `http://${(await get<Service>("service", "hello")).spec?.clusterIP}/`];
    const old = agent("node-2");
    process.kill(old, "SIGKILL");
    assert.deepEqual(await answering(url), await names());
    await eventually("the agent again", async () => {
      const report = readReport(paths(capstan.dataDir).run)?.["node-node-2"];
      return report?.state === "ready" && report.pid !== old;
    });
    assert.deepEqual(await containers(), before);
    assert.equal(readiness(await nodeOf("node-2")), "True");
  });

  it("a node whose agent is silent becomes NotReady, is tainted and its pods move; it comes back with its agent", async () => {
    const stopped = agent("node-2");
    const moved = (await pods()).filter((pod) => pod.spec?.nodeName === "node-2").map((pod) => pod.metadata.uid);
    process.kill(stopped, "SIGSTOP");
    try {
      const lost = await eventually(
        "the node is not ready and tainted",
        async () => {
          const node = await nodeOf("node-2");
          const evicts = node.spec?.taints?.some(
            (t) => t.key === "node.kubernetes.io/unreachable" && t.effect === "NoExecute",
          );
          return readiness(node) === "Unknown" && evicts && node;
        },
        90_000,
      );
      assert.match(await capstan.kubectl("get", "nodes"), /node-2\s+NotReady/);
      assert.ok(lost.status?.conditions?.every((c) => c.type !== "Ready" || c.reason === "NodeStatusUnknown"));
      await eventually("every replica ready on the other node", async () => {
        const live = (await pods()).filter((pod) => !pod.metadata.deletionTimestamp);
        return live.length === 4 && live.every((pod) => isReady(pod) && pod.spec?.nodeName === "node-1");
      });
      const url = `http://${(await get<Service>("service", "hello")).spec?.clusterIP}/`;
      const live = (await pods()).filter((pod) => !pod.metadata.deletionTimestamp).map((pod) => pod.metadata.name);
      assert.deepEqual(await answering(url), live.sort());
    } finally {
      process.kill(stopped, "SIGCONT");
    }
    await eventually("the node is ready and has no taint", async () => {
      const node = await nodeOf("node-2");
      return readiness(node) === "True" && !node.spec?.taints?.length;
    });
    await eventually("its agent has ended the pods that moved", async () => {
      const uids = (await pods()).map((pod) => pod.metadata.uid);
      return moved.length > 0 && moved.every((uid) => !uids.includes(uid));
    });
  });

  it("kubectl drain moves every pod to the other node, and uncordon takes the node back", async () => {
    const drain = ["drain", "node-1", "--ignore-daemonsets", "--delete-emptydir-data", "--force", "--timeout=60s"];
    assert.match(await capstan.kubectl(...drain), /node\/node-1 drained/);
    assert.match(await capstan.kubectl("get", "node", "node-1"), /Ready,SchedulingDisabled/);
    await eventually("every replica ready on the other node", async () => {
      const live = (await pods()).filter((pod) => !pod.metadata.deletionTimestamp);
      return live.length === 4 && live.every((pod) => isReady(pod) && pod.spec?.nodeName === "node-2");
    });
    await capstan.kubectl("uncordon", "node-1");
    assert.equal((await nodeOf("node-1")).spec?.unschedulable, undefined);
  });
});
