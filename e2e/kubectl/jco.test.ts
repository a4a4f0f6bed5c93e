/** Where no native addon can be built, the engine jco runs the same components on the same path. */
import assert from "node:assert/strict";
import { after, before, describe, it } from "node:test";
import type { KubeList, KubeObject } from "#sdk/api/object.ts";
import { eventually, type Instance, skipWithoutNode, startInstance } from "../support/instance.ts";

interface PluginObject extends KubeObject {
  status?: { hosts?: Record<string, { engine: string; state: string; calls: number }> };
}

describe("the engine jco", { skip: skipWithoutNode }, () => {
  let capstan: Instance;
  before(async () => {
    capstan = await startInstance({ args: ["--engine", "jco"] });
  });
  after(async () => {
    await capstan?.remove();
  });

  it("runs the example through five components or more, all of them its own", async () => {
    await capstan.kubectl("apply", "-f", "examples/hello/");
    await capstan.kubectl("rollout", "status", "deployment/hello", "--timeout=90s");
    await eventually("calls of five components", async () => {
      const list = JSON.parse(await capstan.kubectl("get", "plugins", "-o", "json")) as KubeList<PluginObject>;
      const hosts = list.items.flatMap((plugin) => Object.values(plugin.status?.hosts ?? {}));
      assert.deepEqual([...new Set(hosts.map((host) => host.engine))], ["jco"]);
      return hosts.filter((host) => host.calls > 0).length >= 5;
    });
  });
});
