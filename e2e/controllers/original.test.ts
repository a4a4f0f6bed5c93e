/** The unmodified kube-controller-manager against this API server, our own loops off. Runs where its binary has been built. */
import { equal, match, ok } from "node:assert/strict";
import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { paths } from "#platform/main/config.ts";
import type { Pod, Secret } from "#sdk/api/generated/types.ts";
import type { KubeObject } from "#sdk/api/object.ts";
import { until } from "#sdk/testing/until.ts";
import { defaultBuildDir } from "../conformance/options.ts";
import { binDir } from "../conformance/suite.ts";
import { type ControlPlane, startControlPlane } from "./control-plane.ts";

const PODS = { group: "", version: "v1", resource: "pods" };
const REVIEWS = "/apis/authentication.k8s.io/v1/tokenreviews";
const SECRETS = { group: "", version: "v1", resource: "secrets" };
const program = join(binDir(defaultBuildDir()), "kube-controller-manager");
const skip = existsSync(program)
  ? false
  : "kube-controller-manager has not been built (npm run differential builds it)";
const WAIT_MS = 60_000;

describe("kube-controller-manager", { skip }, () => {
  let plane: ControlPlane;
  let manager: ChildProcess;
  let log = "";
  before(async () => {
    plane = await startControlPlane({ loops: false });
    const { pki } = paths(plane.config.dataDir);
    manager = spawn(program, [
      `--kubeconfig=${plane.kubeconfig}`,
      `--root-ca-file=${join(pki, "ca.crt")}`,
      `--service-account-private-key-file=${join(pki, "sa.key")}`,
      `--cluster-signing-cert-file=${join(pki, "ca.crt")}`,
      `--cluster-signing-key-file=${join(pki, "ca.key")}`,
      "--leader-elect=false",
      "--secure-port=0",
      "--concurrent-deployment-syncs=1",
    ]);
    manager.stderr?.on("data", (chunk: Buffer) => {
      log += chunk.toString();
    });
  });
  after(async () => {
    if (manager?.exitCode === null) {
      const ended = new Promise((done) => manager.once("exit", done));
      manager.kill("SIGTERM");
      await ended;
    }
    await plane?.remove();
  });
  const pods = async (app: string) =>
    (await plane.client.list<Pod>(PODS, { namespace: "default", labelSelector: `app=${app}` })).items;

  it("makes accounts, pods of workloads, and endpoints", async () => {
    await until(async () => (await plane.kubectl("get", "serviceaccounts", "-o", "name")).includes("default"), WAIT_MS);
    await plane.kubectl("create", "deployment", "web", "--image=example", "--replicas=3", "--port=80");
    await plane.kubectl("expose", "deployment", "web");
    await until(async () => (await pods("web")).length === 3, WAIT_MS);
    await until(
      async () =>
        (await plane.kubectl("get", "endpointslices", "-o", "name")).includes("endpointslice.discovery.k8s.io/web-"),
      WAIT_MS,
    );
    await plane.kubectl("create", "quota", "few", "--hard=pods=5");
    await until(async () => (await plane.kubectl("describe", "quota", "few")).includes("3     5"), WAIT_MS);
  });

  it("collects garbage, and ends namespaces", async () => {
    await plane.kubectl("delete", "deployment", "web");
    await until(async () => (await pods("web")).every((pod) => pod.metadata.deletionTimestamp), WAIT_MS);
    await plane.kubectl("create", "namespace", "short");
    await plane.kubectl("create", "configmap", "one", "-n", "short");
    await plane.kubectl("delete", "namespace", "short", "--timeout=60s");
    ok(!(await plane.kubectl("get", "namespaces", "-o", "name")).includes("short"));
  });

  it("fills token secrets, and its tokens are believed", async () => {
    const metadata = {
      name: "token",
      namespace: "default",
      annotations: { "kubernetes.io/service-account.name": "default" },
    };
    const type = "kubernetes.io/service-account-token";
    let token = "";
    await plane.client.create(SECRETS, { metadata, type } as KubeObject);
    await until(async () => {
      const { data } = await plane.client.get<Secret>(SECRETS, { namespace: "default", name: "token" });
      token = Buffer.from(data?.["token"] ?? "", "base64").toString();
      return token !== "";
    }, WAIT_MS);
    const review = { apiVersion: "authentication.k8s.io/v1", kind: "TokenReview", spec: { token } };
    const { body } = await plane.client.raw("POST", REVIEWS, JSON.stringify(review), {
      "content-type": "application/json",
    });
    match(body, /"authenticated":true.*system:serviceaccount:default:default/);
  });

  it("found nothing that it could not watch", () => {
    equal(manager.exitCode, null);
    const lines = log
      .split("\n")
      .filter((line) => /^E\d{4}/.test(line) && /reflector|Failed to watch|failed to list/i.test(line));
    equal(lines.join("\n"), "");
  });
});
