import assert from "node:assert/strict";
import { test } from "node:test";
import type { NodeContext, NodePod } from "./context.ts";
import { nothing } from "./observe.ts";
import { createStatusWriter } from "./status-writer.ts";

test("a condition that somebody else has written since is written again, and one that is only older is not", async () => {
  let writes = 0;
  const client = {
    tenant: () => client,
    async patch(_: unknown, __: unknown, { body }: { body: { status: object } }) {
      writes++;
      return { metadata: { resourceVersion: String(writes * 10) }, status: body.status };
    },
  };
  const context = {
    settings: { address: "192.0.2.1" },
    clock: { now: () => 0 },
    apiUid: () => "u",
    client,
  } as unknown as NodeContext;
  const pod = (resourceVersion: string, initialized: string): NodePod => ({
    apiVersion: "v1",
    kind: "Pod",
    metadata: { name: "p", namespace: "default", uid: "u", resourceVersion },
    spec: { containers: [{ name: "c" }] },
    status: { conditions: [{ type: "Initialized", status: initialized }] },
  });
  const parts = {
    observer: { get: () => nothing },
    prober: {},
    resizer: { resources: () => ({ allocated: {}, actual: {} }), conditions: () => [] },
    devices: { health: () => [] },
  };
  const writer = createStatusWriter(context, parts as never, pod("1", "True"));
  const write = (of: NodePod) =>
    writer.write({ pod: of, podIPs: [], networked: () => true, waiting: new Map() } as never, false);
  await write(pod("1", "True"));
  await write(pod("1", "False"));
  await write(pod("11", "True"));
  assert.equal(writes, 1);
  await write(pod("12", "False"));
  assert.equal(writes, 2);
});
