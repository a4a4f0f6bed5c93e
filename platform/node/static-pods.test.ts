import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it, type TestContext } from "node:test";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import type { NodeContext, NodePod } from "./context.ts";
import { createStaticPods, isMirror, isStatic, mirrorOf, staticPod } from "./static-pods.ts";
import { createFakeApi } from "./testing/fake-api.ts";

const manifest = (image: string) =>
  `apiVersion: v1\nkind: Pod\nmetadata: {name: fixed}\nspec: {containers: [{name: main, image: ${image}}]}\n`;
const node: Node = { metadata: { name: "n1", uid: "node-uid" } };

it("a file is a pod of its node, another text another pod, and what is no Pod is refused", () => {
  const pod = staticPod(manifest("a"), "f.yaml", "n1");
  assert.deepEqual([pod.metadata.name, pod.metadata.namespace, pod.spec.nodeName], ["fixed-n1", "default", "n1"]);
  assert.ok(isStatic(pod));
  assert.equal(staticPod(manifest("a"), "f.yaml", "n1").metadata.uid, pod.metadata.uid);
  assert.notEqual(staticPod(manifest("b"), "f.yaml", "n1").metadata.uid, pod.metadata.uid);
  assert.throws(() => staticPod("kind: Service\nmetadata: {name: x}\n", "f.yaml", "n1"));
  const mirror = mirrorOf(pod, node);
  assert.ok(isMirror(mirror) && !isStatic(mirror));
  assert.equal(mirror.metadata.uid, undefined);
  assert.deepEqual(
    mirror.metadata.ownerReferences?.map(({ kind, uid }) => [kind, uid]),
    [["Node", "node-uid"]],
  );
});

function world(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), "capstan-static-"));
  t.after(() => rmSync(directory, { recursive: true }));
  mkdirSync(join(directory, "manifests"));
  const api = createFakeApi();
  const running: NodePod[] = [];
  let left = true;
  const warned: string[] = [];
  const context = {
    settings: { directory, name: "n1" },
    client: api.client,
    log: { warn: (message: string) => void warned.push(message) },
  } as unknown as NodeContext;
  const statics = createStaticPods({
    context,
    node: () => node,
    run: (pod) => void running.push(pod),
    end(pod) {
      if (left) return false;
      running.splice(
        running.findIndex((one) => one.metadata.uid === pod.metadata.uid),
        1,
      );
      return true;
    },
  });
  const file = join(directory, "manifests", "f.yaml");
  return {
    statics,
    warned,
    running: () => running.map(({ spec }) => spec.containers[0]?.image),
    write: (text: string) => writeFileSync(file, text),
    remove: () => rmSync(file),
    ended: () => {
      left = false;
    },
    mirror: () => api.get<Pod>("pods", "default", "fixed-n1"),
    deleteMirror: () =>
      api.client.delete({ group: "", version: "v1", resource: "pods" }, { namespace: "default", name: "fixed-n1" }),
  };
}

it("the API shows a mirror pod, which is made again when somebody deletes it", async (t) => {
  const { statics, write, running, mirror, deleteMirror } = world(t);
  write(manifest("a"));
  await statics.sync();
  assert.deepEqual(running(), ["a"]);
  const shown = mirror();
  assert.ok(shown && isMirror(shown));
  assert.equal(
    statics.mirrorUid(shown.metadata.annotations?.["kubernetes.io/config.mirror"] ?? ""),
    shown.metadata.uid,
  );
  await deleteMirror();
  statics.unmirrored(shown);
  await statics.sync();
  assert.notEqual(mirror()?.metadata.uid, shown.metadata.uid);
  assert.deepEqual(running(), ["a"]);
});

it("a changed file waits until the pod before is gone, a removed one takes its mirror pod with it", async (t) => {
  const { statics, write, remove, running, mirror, ended, warned } = world(t);
  write(manifest("a"));
  await statics.sync();
  write(manifest("b"));
  await statics.sync();
  assert.deepEqual(running(), ["a"]);
  ended();
  await statics.sync();
  assert.deepEqual(running(), ["b"]);
  assert.equal(mirror()?.spec?.containers[0]?.image, "b");
  write("kind: Pod");
  await statics.sync();
  await statics.sync();
  assert.deepEqual(warned.length, 1);
  remove();
  await statics.sync();
  assert.deepEqual([running(), mirror()], [[], undefined]);
});
