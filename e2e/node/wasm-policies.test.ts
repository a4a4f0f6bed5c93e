/** Pods that are components on a node with containers: they ask others by the cluster's names, as network policies allow. */
import assert from "node:assert/strict";
import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { stringify } from "yaml";
import type { Pod } from "#sdk/api/generated/types.ts";
import { eventually, type Instance, skipWithoutNode, startInstance } from "../support/instance.ts";

const folder = join(import.meta.dirname, "wasm");

describe("pods that are components, on a pod network", { skip: skipWithoutNode }, () => {
  let instance: Instance;

  const apply = async (...objects: object[]) => {
    const file = join(instance.dataDir, "objects.yaml");
    writeFileSync(file, objects.map((object) => stringify(object)).join("---\n"));
    await instance.kubectl("apply", "-f", file);
  };
  /** A program that asks for a URL, and what it said in the end. */
  async function ask(name: string, url: string, labels: Record<string, string> = {}): Promise<[string, string]> {
    await apply({
      apiVersion: "v1",
      kind: "Pod",
      metadata: { name, labels },
      spec: {
        runtimeClassName: "wasm",
        restartPolicy: "Never",
        containers: [{ name: "main", image: "program:1", args: ["ask", url] }],
      },
    });
    const phase = await eventually(`the end of ${name}`, async () => {
      const { status } = JSON.parse(await instance.kubectl("get", "pod", name, "-o", "json")) as Pod;
      return ["Succeeded", "Failed"].find((end) => end === status?.phase);
    });
    return [phase, await instance.kubectl("logs", name)];
  }

  before(async () => {
    instance = await startInstance({ nodes: 1 });
    for (const name of ["server", "program"]) {
      const built = await instance.capstan("image", "build", join(folder, name), "--name", `${name}:1`);
      assert.equal(built.code, 0, built.stderr);
    }
    await apply(
      {
        apiVersion: "v1",
        kind: "Pod",
        metadata: { name: "server", labels: { app: "server" } },
        spec: {
          runtimeClassName: "wasm",
          terminationGracePeriodSeconds: 1,
          containers: [
            {
              name: "main",
              image: "server:1",
              ports: [{ name: "http", containerPort: 8080 }],
              readinessProbe: { httpGet: { path: "/healthz", port: "http" }, periodSeconds: 1 },
            },
          ],
        },
      },
      {
        apiVersion: "v1",
        kind: "Service",
        metadata: { name: "server" },
        spec: { selector: { app: "server" }, ports: [{ port: 80, targetPort: "http" }] },
      },
      {
        apiVersion: "networking.k8s.io/v1",
        kind: "NetworkPolicy",
        metadata: { name: "silent" },
        spec: { podSelector: { matchLabels: { may: "nothing" } }, policyTypes: ["Egress"] },
      },
    );
    await instance.kubectl("wait", "--for=condition=Ready", "pod/server", "--timeout=60s");
  });
  after(async () => {
    await instance?.remove();
  });

  it("reach a service by its short name", async () => {
    const [phase, log] = await ask("asks", "http://server/echo?a=b");
    assert.equal(phase, "Succeeded", log);
    assert.match(log, /answered 200 .* POST a=b asked question/);
  });

  it("reach nothing where a policy lets nothing out", async () => {
    const address = await instance.kubectl("get", "service", "server", "-o", "jsonpath={.spec.clusterIP}");
    const [phase, log] = await ask("silenced", `http://${address}/echo?a=b`, { may: "nothing" });
    assert.equal(phase, "Failed", log);
    assert.doesNotMatch(log, /answered/);
  });
});
