/** Pulls from a registry that asks who one is: Debian's docker-registry with one user. */
import assert from "node:assert/strict";
import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { freePort } from "#db/testing.ts";
import { delay } from "#platform/base/clock.ts";
import { findProgram } from "#platform/main/run.ts";
import type { Pod, PodSpec, Secret } from "#sdk/api/generated/types.ts";
import { missing, type NodeUnderTest, startNode } from "./node-under-test.ts";

const USER = "puller";
const PASSWORD = "open sesame";
/** bcrypt of the password: the only hash that the registry takes. */
const PASSWD_LINE = `${USER}:$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW`;

const why =
  missing() ??
  (findProgram("docker-registry")
    ? undefined
    : "there is no docker-registry (Debian: apt-get install docker-registry)");

const waiting = (pod: Pod | undefined) => pod?.status?.containerStatuses?.[0]?.state?.waiting;
const runs = (pod: Pod | undefined): boolean => pod?.status?.containerStatuses?.[0]?.state?.running !== undefined;

describe("images of a registry that asks who one is", { skip: why ?? false, timeout: 120_000 }, () => {
  const scratch = mkdtempSync(join(tmpdir(), "capstan-registry-"));
  let node: NodeUnderTest;
  let registry: ChildProcess | undefined;
  let host = "";

  const startRegistry = async () => {
    const config = {
      version: "0.1",
      storage: { filesystem: { rootdirectory: join(scratch, "images") } },
      http: { addr: host },
      auth: { htpasswd: { realm: "test", path: join(scratch, "htpasswd") } },
    };
    writeFileSync(join(scratch, "htpasswd"), `${PASSWD_LINE}\n`);
    writeFileSync(join(scratch, "registry.json"), JSON.stringify(config));
    registry = spawn("docker-registry", ["serve", join(scratch, "registry.json")], { stdio: "ignore" });
    for (let tries = 0; ; tries++) {
      const answer = await fetch(`http://${host}/v2/`).catch(() => undefined);
      if (answer?.status === 401) return;
      assert.ok(tries < 100, "docker-registry does not answer");
      await delay(100);
    }
  };
  const stopRegistry = async () => {
    if (!registry || registry.exitCode !== null) return;
    const exit = once(registry, "exit");
    registry.kill();
    await exit;
  };

  before(async () => {
    host = `127.0.0.1:${await freePort()}`;
    await startRegistry();
    node = await startNode(await freePort());
    const ctr = (...args: string[]) =>
      execFileSync("ctr", ["--address", node.node.containerdSocket, "--namespace", "k8s.io", "images", ...args], {
        stdio: ["ignore", "ignore", "pipe"],
      });
    ctr("tag", "docker.io/library/busybox:latest", `${host}/private/app:1`);
    ctr("push", "--plain-http", "--user", `${USER}:${PASSWORD}`, `${host}/private/app:1`);
    ctr("remove", `${host}/private/app:1`);
    secret("good", PASSWORD);
    secret("bad", "open barley");
  });
  after(async () => {
    await node?.close();
    await stopRegistry();
    rmSync(scratch, { recursive: true, force: true });
  });

  const secret = (name: string, password: string) => {
    const auth = Buffer.from(`${USER}:${password}`).toString("base64");
    const config = JSON.stringify({ auths: { [`http://${host}`]: { auth } } });
    node.api.put("secrets", {
      metadata: { namespace: "default", name },
      type: "kubernetes.io/dockerconfigjson",
      data: { ".dockerconfigjson": Buffer.from(config).toString("base64") },
    } as Secret as Pod);
  };
  const put = (name: string, image: string, spec: Partial<PodSpec> = {}) =>
    node.api.put("pods", {
      apiVersion: "v1",
      kind: "Pod",
      metadata: { namespace: "default", name },
      spec: {
        nodeName: "n1",
        terminationGracePeriodSeconds: 1,
        containers: [
          { name: "main", image: `${host}/${image}`, imagePullPolicy: "IfNotPresent", command: ["sleep", "100000"] },
        ],
        ...spec,
      },
      status: { phase: "Pending" },
    } as Pod);
  const until = (name: string, holds: (pod: Pod | undefined) => boolean) =>
    node.api.until<Pod>("pods", "default", name, holds, 60_000);
  const refused = async (name: string): Promise<string> => {
    const pod = await until(name, (one) => waiting(one)?.reason === "ImagePullBackOff");
    return waiting(pod)?.message ?? "";
  };

  it("nobody, and somebody with a wrong password, is refused, and the pod says why and tries again", async () => {
    put("nobody", "private/app:1");
    put("wrong", "private/app:1", { imagePullSecrets: [{ name: "bad" }] });
    assert.match(await refused("nobody"), /Back-off pulling image .*private\/app:1.*ErrImagePull.*(401|authoriz)/is);
    assert.match(await refused("wrong"), /ErrImagePull.*(401|authoriz)/is);
  });

  it("a pod whose secret is right runs, also when the secret comes later", async () => {
    put("mine", "private/app:1", { imagePullSecrets: [{ name: "good" }] });
    await until("mine", runs);
    secret("bad", PASSWORD);
    await until("wrong", runs);
  });

  it("an image that is on the node by another's secret is not given to who has none", async () => {
    put("guest", "private/app:1");
    assert.match(await refused("guest"), /401|authoriz/i);
  });

  it("an image that the registry does not have is named as not found", async () => {
    put("absent", "private/none:1", { imagePullSecrets: [{ name: "good" }] });
    assert.match(await refused("absent"), /private\/none:1.*not found/is);
  });

  it("a registry that is down is told, and the pod runs when it is back", async () => {
    await stopRegistry();
    put("early", "private/app:1", {
      imagePullSecrets: [{ name: "good" }],
      containers: [
        { name: "main", image: `${host}/private/app:1`, imagePullPolicy: "Always", command: ["sleep", "100000"] },
      ],
    });
    assert.match(await refused("early"), /connection refused/);
    await startRegistry();
    await until("early", runs);
  });
});
