import assert from "node:assert/strict";
import { test } from "node:test";
import { hostPorts, judge } from "./ports.ts";

const port = (hostPort: number | undefined, hostIP?: string, protocol?: string) => ({
  containers: [{ name: "c", ports: [{ containerPort: 80, hostPort, hostIP, protocol }] }],
});
const clashes = (a: ReturnType<typeof port>, b: ReturnType<typeof port>) =>
  judge(hostPorts(a), hostPorts(b)) !== undefined;

test("the same port, protocol and address clash, and every address with all of them", () => {
  assert.ok(clashes(port(80), port(80)));
  assert.ok(clashes(port(80, "0.0.0.0"), port(80, "10.0.0.1")));
  assert.ok(clashes(port(80, "10.0.0.1"), port(80)));
  assert.ok(!clashes(port(80, "10.0.0.1"), port(80, "10.0.0.2")));
  assert.ok(!clashes(port(80), port(80, undefined, "UDP")));
  assert.ok(!clashes(port(80), port(81)));
  assert.ok(!clashes(port(undefined), port(undefined)));
});

test("the reason is upstream's, and evictions may help", () => {
  assert.deepEqual(judge(hostPorts(port(80)), hostPorts(port(80))), {
    reasons: ["node(s) didn't have free ports for the requested pod ports"],
    unresolvable: false,
  });
});

test("only init containers that stay count", () => {
  const ports = [{ containerPort: 80, hostPort: 80 }];
  const init = (restartPolicy?: string) => ({ containers: [], initContainers: [{ name: "i", restartPolicy, ports }] });
  assert.equal(hostPorts(init()).length, 0);
  assert.equal(hostPorts(init("Always")).length, 1);
});
