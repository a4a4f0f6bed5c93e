import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { StatusError } from "#sdk/api/status.ts";
import { containerOf, logPath, nodePath, portsOf } from "./options.ts";
import type { StreamingTarget } from "./port.ts";

const target = (query: string, containers = ["web"]): StreamingTarget => ({
  tenant: "root",
  pod: {
    metadata: { name: "p", namespace: "n", uid: "u" },
    spec: { nodeName: "x", containers: containers.map((name) => ({ name })) },
  },
  query: new URLSearchParams(query),
  node: { host: "h", port: 1 },
});
const refused = (code: number, message: RegExp) => (error: unknown) =>
  error instanceof StatusError && error.code === code && message.test(error.message);

describe("streaming options", () => {
  it("take the only container, and ask for a name where there are several", () => {
    assert.equal(containerOf(target("").pod, null), "web");
    assert.throws(
      () => containerOf(target("", ["a", "b"]).pod, ""),
      refused(400, /^a container name must be specified for pod p, choose one of: \[a b\]$/),
    );
    assert.throws(() => containerOf(target("").pod, "x"), refused(400, /^container x is not valid for pod p$/));
  });

  it("become the node agent's own", () => {
    assert.equal(
      nodePath("exec", target("command=ls&command=a+b&stdout=true&stderr=1&stdin=0")),
      "/exec/n/p/u/web?output=1&error=1&command=ls&command=a+b",
    );
    assert.throws(() => nodePath("exec", target("command=ls")), refused(400, /at least 1 of stdin, stdout, stderr/));
  });

  it("of port-forward without a tunnel name each port", () => {
    const ports = (query: string) => portsOf(new URLSearchParams(query));
    assert.deepEqual(ports("ports=80&ports=443"), [80, 443]);
    assert.throws(() => ports("port=80"), refused(400, /^query parameter "port" is required$/));
    assert.throws(() => ports("ports=80,443"), refused(400, /^strconv.ParseInt: parsing "80,443": invalid syntax$/));
    assert.throws(() => ports("ports=0"), refused(400, /^port "0" must be > 0$/));
    assert.throws(() => ports("ports=70000"), refused(400, /^unable to parse "70000" as a port$/));
  });

  it("for logs are checked as upstream does", () => {
    assert.equal(logPath(target("follow=true&tailLines=5")), "/containerLogs/n/p/web?uid=u&follow=true&tailLines=5");
    assert.throws(() => logPath(target("tailLines=-1")), refused(422, /tailLines: Invalid value: -1/));
    assert.throws(
      () => logPath(target("sinceSeconds=1&sinceTime=2026-01-01T00:00:00Z")),
      refused(422, /at most one of/),
    );
    assert.throws(() => logPath(target("tailLines=x")), refused(400, /invalid syntax/));
  });
});
