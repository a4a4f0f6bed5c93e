import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { createBackoffs } from "./backoff.ts";
import { containerResources, oomScoreAdj, qosClass } from "./cgroups.ts";
import { durationText } from "./containers.ts";
import { expand, serviceVariables } from "./env.ts";
import { fullImageName } from "./images.ts";
import { dnsOf } from "./sandbox.ts";

describe("a container's environment", () => {
  it("expands what is known and keeps the rest as it is written", () => {
    const lookup = (name: string) => ({ A: "1", EMPTY: "" })[name];
    assert.equal(expand("$(A) $(B) $$(A) $A $(EMPTY)$", lookup), "1 $(B) $(A) $A $");
  });

  it("names services as docker links did", () => {
    const variables = serviceVariables([
      { metadata: { name: "my-db" }, spec: { clusterIP: "10.0.0.1", ports: [{ name: "sql", port: 5432 }] } },
      { metadata: { name: "headless" }, spec: { clusterIP: "None", ports: [{ port: 1 }] } },
    ]);
    assert.deepEqual(Object.fromEntries(variables), {
      MY_DB_SERVICE_HOST: "10.0.0.1",
      MY_DB_SERVICE_PORT: "5432",
      MY_DB_SERVICE_PORT_SQL: "5432",
      MY_DB_PORT: "tcp://10.0.0.1:5432",
      MY_DB_PORT_5432_TCP: "tcp://10.0.0.1:5432",
      MY_DB_PORT_5432_TCP_PROTO: "tcp",
      MY_DB_PORT_5432_TCP_PORT: "5432",
      MY_DB_PORT_5432_TCP_ADDR: "10.0.0.1",
    });
  });
});

describe("a pod's resources", () => {
  const pod = (resources: object) => ({ metadata: {}, spec: { containers: [{ name: "c", resources }] } });
  it("decide its quality of service", () => {
    assert.equal(qosClass(pod({})), "BestEffort");
    assert.equal(qosClass(pod({ requests: { cpu: "1" } })), "Burstable");
    assert.equal(qosClass(pod({ limits: { cpu: "1", memory: "1Gi" } })), "Guaranteed");
  });

  it("become shares, quota and a place in the queue of the kernel's killer", () => {
    const one = pod({ requests: { cpu: "250m", memory: "1Gi" }, limits: { cpu: "500m", memory: "2Gi" } });
    assert.deepEqual(containerResources(one, one.spec.containers[0]!, 4 * 2 ** 30), {
      cpuShares: 256,
      cpuPeriod: 100_000,
      cpuQuota: 50_000,
      memoryLimitInBytes: 2 ** 31,
      oomScoreAdj: 750,
    });
    const none = pod({});
    assert.equal(oomScoreAdj(none, none.spec.containers[0]!, 2 ** 30), 1000);
  });
});

describe("small rules of the node", () => {
  it("completes image names, and knows what is none", () => {
    assert.equal(fullImageName("busybox"), "docker.io/library/busybox:latest");
    assert.equal(fullImageName("a/b:1"), "docker.io/a/b:1");
    assert.equal(fullImageName("localhost:5000/x"), "localhost:5000/x:latest");
    assert.equal(fullImageName("Not An Image"), undefined);
  });

  it("doubles a wait to five minutes, and forgets it after ten quiet ones", () => {
    const backoffs = createBackoffs();
    backoffs.next("k", 0);
    assert.equal(backoffs.waiting("k", 9_999), true);
    assert.equal(backoffs.waiting("k", 10_000), false);
    for (let i = 0; i < 10; i++) backoffs.next("k", 0);
    assert.equal(durationText(backoffs.get("k")), "5m0s");
    backoffs.next("k", 600_001);
    assert.equal(durationText(backoffs.get("k")), "10s");
  });

  it("answers names by the cluster first, unless the pod asks otherwise", () => {
    const host = { servers: ["9.9.9.9"], searches: ["corp"], options: [] };
    const dns = { domain: "cluster.local", address: "10.96.0.10" };
    const pod = (spec: object) => ({
      metadata: { name: "p", namespace: "ns", uid: "u" },
      spec: { containers: [], ...spec },
    });
    assert.deepEqual(dnsOf(pod({}), dns, host), {
      servers: ["10.96.0.10"],
      searches: ["ns.svc.cluster.local", "svc.cluster.local", "cluster.local", "corp"],
      options: ["ndots:5"],
    });
    assert.deepEqual(dnsOf(pod({ hostNetwork: true }), dns, host), host);
    const none = pod({
      dnsPolicy: "None",
      dnsConfig: { nameservers: ["1.1.1.1"], options: [{ name: "ndots", value: "2" }] },
    });
    assert.deepEqual(dnsOf(none, dns, host), { servers: ["1.1.1.1"], searches: [], options: ["ndots:2"] });
  });
});
