/** The main job, as a user types it: kubectl apply to real containers, through components. */
import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { after, before, describe, it } from "node:test";
import type { Deployment, Node, Pod, Service } from "#sdk/api/generated/types.ts";
import type { KubeList, KubeObject } from "#sdk/api/object.ts";
import { eventually, type Instance, skipWithoutNode, startInstance } from "../support/instance.ts";

interface PluginObject extends KubeObject {
  spec: { worlds: string[]; enabled?: boolean };
  status?: { hosts?: Record<string, { state: string; calls: number }> };
}

const text = async (url: string, timeoutMs = 3_000): Promise<string> =>
  (await fetch(url, { signal: AbortSignal.timeout(timeoutMs) })).text();

describe("kubectl apply to real containers", { skip: skipWithoutNode }, () => {
  let capstan: Instance;
  const json = async <T>(...args: string[]): Promise<T> =>
    JSON.parse(await capstan.kubectl(...args, "-o", "json")) as T;
  const pods = async (selector = "app=hello") => (await json<KubeList<Pod>>("get", "pods", "-l", selector)).items;
  const running = async (count: number) =>
    eventually(`${count} ready pods`, async () => {
      const all = (await pods()).filter((pod) => !pod.metadata.deletionTimestamp);
      const ready = all.filter((pod) => pod.status?.conditions?.some((c) => c.type === "Ready" && c.status === "True"));
      return all.length === count && ready.length === count && ready;
    });
  const clusterIP = async () => (await json<Service>("get", "service", "hello")).spec?.clusterIP ?? "";

  before(async () => {
    capstan = await startInstance();
  });
  after(async () => {
    await capstan?.remove();
  });

  it("has a ready node that describes itself", async () => {
    const [node] = (await json<KubeList<Node>>("get", "nodes")).items;
    assert.equal(node?.status?.conditions?.find((c) => c.type === "Ready")?.status, "True");
    assert.match(await capstan.kubectl("describe", "node", node?.metadata.name ?? ""), /containerd:\/\/1\./);
  });

  it("runs the example: three ready replicas with addresses on the node", async () => {
    await capstan.kubectl("apply", "-f", "examples/hello/");
    await capstan.kubectl("rollout", "status", "deployment/hello", "--timeout=90s");
    const ready = await running(3);
    assert.equal(new Set(ready.map((pod) => pod.status?.podIP)).size, 3);
    assert.match(await capstan.kubectl("get", "pods", "-o", "wide"), /Running\s+0/);
  });

  it("the LimitRange's defaults were put into the containers by the admission component", async () => {
    const [pod] = await pods();
    assert.ok(pod?.spec?.containers[0]?.resources?.limits?.["cpu"], "no cpu limit in the pod");
    assert.match(pod?.metadata.annotations?.["kubernetes.io/limit-ranger"] ?? "", /LimitRanger plugin set/);
  });

  it("the service answers from the host, from all three replicas", async () => {
    const url = `http://${await clusterIP()}/`;
    const seen = new Set<string>();
    await eventually("answers from three pods", async () => {
      const name = /hello-[a-z0-9]+-[a-z0-9]+/.exec(await text(url))?.[0];
      if (name) seen.add(name);
      return seen.size === 3;
    });
  });

  it("the service answers in a pod by its address and by its DNS name", async () => {
    const ip = await clusterIP();
    for (const host of [ip, "hello", "hello.default", "hello.default.svc.cluster.local"])
      assert.match(await capstan.kubectl("exec", "deploy/hello", "--", "wget", "-qO-", `http://${host}/`), /hello-/);
  });

  it("logs, exec with stdin, and the exit code of a command come through", async () => {
    const [pod] = await pods();
    const name = pod?.metadata.name ?? "";
    await capstan.kubectl("exec", name, "--", "sh", "-c", "echo from-inside > /proc/1/fd/1");
    await eventually("the line in the log", async () => (await capstan.kubectl("logs", name)).includes("from-inside"));
    const child = spawn("kubectl", ["--kubeconfig", capstan.kubeconfig, "exec", "-i", name, "--", "cat"], {
      stdio: ["pipe", "pipe", "inherit"],
    });
    let echoed = "";
    child.stdout.setEncoding("utf8").on("data", (chunk: string) => {
      echoed += chunk;
    });
    child.stdin.end("through stdin\n");
    assert.equal(await new Promise((done) => child.on("close", done)), 0);
    assert.equal(echoed, "through stdin\n");
    assert.equal((await capstan.tryKubectl("exec", name, "--", "sh", "-c", "exit 7")).code, 7);
  });

  it("port-forward carries a request", async () => {
    const child = spawn("kubectl", ["--kubeconfig", capstan.kubeconfig, "port-forward", "service/hello", ":80"], {
      stdio: ["ignore", "pipe", "pipe"],
    });
    try {
      let said = "";
      for (const stream of [child.stdout, child.stderr])
        stream.setEncoding("utf8").on("data", (chunk: string) => {
          said += chunk;
        });
      const port = await eventually("the forwarded port", async () => /127\.0\.0\.1:(\d+) ->/.exec(said)?.[1]);
      assert.match(await text(`http://127.0.0.1:${port}/`, 10_000), /hello-/);
      assert.match(await text(`http://127.0.0.1:${port}/`, 10_000), /hello-/);
    } finally {
      child.kill();
    }
  });

  it("debug looks into a pod from a container of its own, and top says what pods use", async () => {
    const name = (await pods())[0]?.metadata.name ?? "";
    const look = ["--image=capstan.dev/hello:1", "--target=web", "--container=look", "--quiet"];
    await capstan.kubectl("debug", name, ...look, "--", "sh", "-c", "ps; echo looked");
    await eventually("what the debugging container saw", async () =>
      /httpd[\s\S]*looked/.test((await capstan.tryKubectl("logs", name, "-c", "look")).stdout),
    );
    await eventually("use of pods and nodes", async () => {
      const [used, nodes] = [await capstan.tryKubectl("top", "pods"), await capstan.tryKubectl("top", "nodes")];
      return new RegExp(`^${name} +\\d+m +\\d+Mi`, "m").test(used.stdout) && /^node-1 +\d+m/m.test(nodes.stdout);
    });
  });

  it("describe shows the pod's events", async () => {
    const [pod] = await pods();
    const described = await capstan.kubectl("describe", "pod", pod?.metadata.name ?? "");
    for (const reason of ["Scheduled", "Pulled", "Created", "Started"])
      assert.match(described, new RegExp(`Normal\\s+${reason}`));
  });

  it("scale, restart and undo roll as they should", async () => {
    await capstan.kubectl("scale", "deployment/hello", "--replicas=5");
    await running(5);
    await capstan.kubectl("scale", "deployment/hello", "--replicas=3");
    await running(3);
    const before = (await json<Deployment>("get", "deployment", "hello")).spec?.template.metadata?.annotations ?? {};
    await capstan.kubectl("rollout", "restart", "deployment/hello");
    await capstan.kubectl("rollout", "status", "deployment/hello", "--timeout=90s");
    assert.match(await capstan.kubectl("rollout", "history", "deployment/hello"), /\n2 /);
    await capstan.kubectl("rollout", "undo", "deployment/hello");
    await capstan.kubectl("rollout", "status", "deployment/hello", "--timeout=90s");
    const now = (await json<Deployment>("get", "deployment", "hello")).spec?.template.metadata?.annotations ?? {};
    assert.deepEqual(now, before);
    await running(3);
  });

  it("five components or more are on the path, and their calls rise", async () => {
    const calls = async () =>
      new Map(
        (await json<KubeList<PluginObject>>("get", "plugins")).items.map((p) => [
          p.metadata.name ?? "",
          Object.values(p.status?.hosts ?? {}).reduce((sum, host) => sum + host.calls, 0),
        ]),
      );
    const before = await calls();
    await capstan.kubectl("delete", "pod", (await pods())[0]?.metadata.name ?? "");
    await running(3);
    await eventually("calls of five components rising", async () => {
      const now = await calls();
      return [...now].filter(([name, count]) => count > (before.get(name) ?? 0)).length >= 5;
    });
  });

  it("a Service of type LoadBalancer gets an address, and HAProxy answers there without a failed request while pods change", async () => {
    await capstan.kubectl(
      "expose",
      "deployment/hello",
      "--name=hello-lb",
      "--type=LoadBalancer",
      "--port=80",
      "--target-port=8080",
    );
    const address = await eventually(
      "an address",
      async () => (await json<Service>("get", "service", "hello-lb")).status?.loadBalancer?.ingress?.[0]?.ip,
    );
    await eventually("the first answer", async () => /hello-/.test(await text(`http://${address}/`)));
    await capstan.kubectl("scale", "deployment/hello", "--replicas=5");
    const failed: string[] = [];
    const scaled = running(5);
    let done = false;
    void scaled.then(
      () => {
        done = true;
      },
      () => {
        done = true;
      },
    );
    for (let n = 0; !done && n < 2_000; n++)
      await text(`http://${address}/`).catch((error: unknown) => failed.push(String(error)));
    await scaled;
    assert.deepEqual(failed, []);
    await capstan.kubectl("delete", "service", "hello-lb");
  });

  it("with node-resources turned off an oversized pod is bound; with it on, an event says what is missing", async () => {
    const big = (name: string) =>
      capstan.kubectl(
        "run",
        name,
        "--image=docker.io/library/busybox:latest",
        "--image-pull-policy=Never",
        "--overrides",
        JSON.stringify({
          spec: {
            containers: [
              {
                name,
                image: "docker.io/library/busybox:latest",
                command: ["sleep", "600"],
                resources: { requests: { cpu: "500" }, limits: { cpu: "500" } },
              },
            ],
          },
        }),
      );
    await big("too-big");
    await eventually("the scheduler's reason", async () =>
      /Insufficient cpu/.test(await capstan.kubectl("describe", "pod", "too-big")),
    );
    await capstan.kubectl("patch", "plugin", "node-resources", "--type=merge", "-p", '{"spec":{"enabled":false}}');
    try {
      await eventually(
        "a node for the oversized pod",
        async () => (await json<Pod>("get", "pod", "too-big")).spec?.nodeName,
      );
    } finally {
      await capstan.kubectl("patch", "plugin", "node-resources", "--type=merge", "-p", '{"spec":{"enabled":true}}');
      await capstan.kubectl("delete", "pod", "too-big", "--now");
    }
  });

  it("with the network component off a new pod stays ContainerCreating and says why", async () => {
    await capstan.kubectl("patch", "plugin", "cni", "--type=merge", "-p", '{"spec":{"enabled":false}}');
    try {
      await capstan.kubectl(
        "run",
        "no-network",
        "--image=docker.io/library/busybox:latest",
        "--image-pull-policy=Never",
        "--",
        "sleep",
        "600",
      );
      await eventually("the event", async () =>
        /FailedCreatePodSandBox/.test(await capstan.kubectl("describe", "pod", "no-network")),
      );
      assert.match(await capstan.kubectl("get", "pod", "no-network"), /ContainerCreating/);
    } finally {
      await capstan.kubectl("patch", "plugin", "cni", "--type=merge", "-p", '{"spec":{"enabled":true}}');
    }
    await eventually(
      "the pod running after all",
      async () => (await json<Pod>("get", "pod", "no-network")).status?.phase === "Running",
      120_000,
    );
    await capstan.kubectl("delete", "pod", "no-network", "--now");
  });

  it("bad images, crashes and OOM kills say so as Kubernetes does", async () => {
    const overrides = (name: string, container: object) =>
      JSON.stringify({ spec: { containers: [{ name, ...container }] } });
    const image = "docker.io/library/busybox:latest";
    await capstan.kubectl("run", "absent", "--image=docker.io/library/absent:1", "--image-pull-policy=Never");
    await capstan.kubectl(
      "run",
      "crash",
      `--image=${image}`,
      "--overrides",
      overrides("crash", { image, imagePullPolicy: "Never", command: ["sh", "-c", "exit 3"] }),
    );
    await capstan.kubectl(
      "run",
      "wrong",
      `--image=${image}`,
      "--overrides",
      overrides("wrong", { image, imagePullPolicy: "Never", command: ["/no/such/program"] }),
    );
    await capstan.kubectl(
      "run",
      "hungry",
      `--image=${image}`,
      "--overrides",
      overrides("hungry", {
        image,
        imagePullPolicy: "Never",
        command: ["sh", "-c", "x=a; while :; do x=$x$x; done"],
        resources: { limits: { memory: "32Mi" } },
      }),
    );
    await capstan.kubectl("run", "unknown", "--image=registry.invalid/unknown:1");
    await capstan.kubectl(
      "run",
      "sick",
      `--image=${image}`,
      "--overrides",
      overrides("sick", {
        image,
        imagePullPolicy: "Never",
        command: ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 1; done"],
        livenessProbe: {
          exec: { command: ["sh", "-c", "echo broken; exit 1"] },
          periodSeconds: 1,
          failureThreshold: 3,
        },
        readinessProbe: { httpGet: { port: 81, path: "/" }, periodSeconds: 1 },
      }),
    );
    const sees = (name: string, pattern: RegExp) =>
      eventually(
        `${name} showing ${pattern}`,
        async () => pattern.test(JSON.stringify((await json<Pod>("get", "pod", name)).status)),
        90_000,
      );
    await sees("absent", /ErrImageNeverPull/);
    await sees("unknown", /ErrImagePull|ImagePullBackOff/);
    await sees("crash", /CrashLoopBackOff/);
    await sees("wrong", /RunContainerError|StartError|CrashLoopBackOff/);
    await sees("hungry", /"exitCode":137,.*"reason":"OOMKilled"/);
    await sees("sick", /"restartCount":[1-9]/);
    const tells = (name: string, ...patterns: RegExp[]) =>
      eventually(`events of ${name}`, async () => {
        const columns = "custom-columns=type:.type,reason:.reason,message:.message";
        const events = await capstan.kubectl(
          "get",
          "events",
          "--field-selector",
          `involvedObject.name=${name}`,
          "-o",
          columns,
        );
        for (const pattern of patterns) assert.match(events, pattern);
        return true;
      });
    await tells(
      "absent",
      /Warning +ErrImageNeverPull +Container image "docker.io\/library\/absent:1" is not present with pull policy of Never/,
    );
    await tells(
      "unknown",
      /Normal +Pulling +Pulling image "registry.invalid\/unknown:1"/,
      /Warning +Failed +Failed to pull image "registry.invalid\/unknown:1": /,
      /Warning +Failed +Error: ErrImagePull/,
      /Normal +BackOff +Back-off pulling image "registry.invalid\/unknown:1"/,
    );
    await tells("crash", /Warning +BackOff +Back-off restarting failed container crash in pod crash_default\(/);
    await tells("wrong", /Warning +Failed +Error: .*\/no\/such\/program.*no such file or directory/);
    await tells(
      "sick",
      /Warning +Unhealthy +Liveness probe failed: broken/,
      /Warning +Unhealthy +Readiness probe failed: Get "http:\/\/\S+:81\/": dial tcp \S+:81: connect: connection refused/,
      /Normal +Killing +Container sick failed liveness probe, will be restarted/,
    );
    await capstan.kubectl("delete", "pod", "absent", "unknown", "crash", "wrong", "hungry", "sick", "--now");
  });

  it("delete takes everything away", async () => {
    await capstan.kubectl("delete", "-f", "examples/hello/", "--timeout=60s");
    await eventually("no pods", async () => (await pods()).length === 0);
  });
});
