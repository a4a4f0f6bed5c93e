/** Helm 3, as its authors publish it: a chart with a custom resource, hooks that run as Jobs, and many kinds. */
import assert from "node:assert/strict";
import { join } from "node:path";
import { after, before, describe, it } from "node:test";
import { run } from "#platform/main/run.ts";
import { defaultBuildDir } from "../conformance/options.ts";
import { binDir, buildHelm, buildImpossible } from "../conformance/suite.ts";
import { eventually, type Instance, skipWithoutNode, startInstance } from "../support/instance.ts";

const chart = join(import.meta.dirname, "chart");

describe("helm", { skip: buildImpossible() ?? skipWithoutNode }, () => {
  let capstan: Instance;
  const helm = async (...args: string[]) => {
    const env = { ...process.env, KUBECONFIG: capstan.kubeconfig, HELM_CACHE_HOME: join(capstan.dataDir, "helm") };
    const done = await run(join(binDir(defaultBuildDir()), "helm"), args, { env, timeoutMs: 120_000 });
    assert.equal(done.code, 0, `helm ${args.join(" ")}: ${done.stdout}${done.stderr}`);
    return done.stdout;
  };
  const greeting = async () => capstan.kubectl("get", "configmap", "web", "-o", "jsonpath={.data.greeting}");
  const words = async () => capstan.kubectl("get", "greeting", "web", "-o", "jsonpath={.spec.words}");

  before(async () => {
    await buildHelm(defaultBuildDir(), () => undefined);
    capstan = await startInstance();
  });
  after(() => capstan?.remove());

  it("installs a chart: definitions first, then the hook, then the rest, and waits until it is ready", async () => {
    await helm("install", "web", chart, "--wait", "--timeout", "90s");
    assert.equal(await greeting(), "Hello");
    assert.equal(await words(), "Hello");
    assert.match(await capstan.kubectl("get", "job", "web-pre-install"), /Complete\s+1\/1/);
    assert.match(await capstan.kubectl("get", "deployment", "web"), /1\/1/);
    assert.match(await helm("test", "web", "--timeout", "60s"), /Phase:\s+Succeeded/);
  });

  it("upgrades it, runs the hook after it, and rolls back", async () => {
    await helm("upgrade", "web", chart, "--set", "greeting=Goodbye,replicas=2", "--wait", "--timeout", "90s");
    assert.equal(await greeting(), "Goodbye");
    assert.equal(await words(), "Goodbye");
    assert.match(await capstan.kubectl("get", "deployment", "web"), /2\/2/);
    assert.match(await capstan.kubectl("get", "job", "web-post-upgrade"), /Complete\s+1\/1/);
    await helm("rollback", "web", "1", "--wait", "--timeout", "90s");
    assert.equal(await greeting(), "Hello");
    assert.equal(await words(), "Hello");
    const history = JSON.parse(await helm("history", "web", "-o", "json")) as { status: string }[];
    assert.deepEqual(
      history.map(({ status }) => status),
      ["superseded", "superseded", "deployed"],
    );
  });

  it("leaves what somebody else added when it upgrades, and takes everything away at the end", async () => {
    await capstan.kubectl("label", "deployment", "web", "owner=somebody");
    await helm("upgrade", "web", chart, "--wait", "--timeout", "90s");
    assert.equal(
      await capstan.kubectl("get", "deployment", "web", "-o", "jsonpath={.metadata.labels.owner}"),
      "somebody",
    );
    await helm("uninstall", "web", "--wait", "--timeout", "90s");
    await eventually("nothing left", async () => {
      const kinds = "deployment,service,ingress,cronjob,poddisruptionbudget,role,rolebinding,greeting";
      const left = await capstan.kubectl("get", kinds, "-o", "name");
      return !/\/web\b/.test(left);
    });
  });
});
