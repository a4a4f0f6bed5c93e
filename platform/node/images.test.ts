import assert from "node:assert/strict";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { it, type TestContext } from "node:test";
import type { Secret } from "#sdk/api/generated/types.ts";
import { TENANT_ANNOTATION } from "#sdk/client/port.ts";
import type { NodeContext, NodePod } from "./context.ts";
import type { PodSandboxConfig } from "./cri.ts";
import { createImagePuller, fullImageName, WaitingError } from "./images.ts";
import { type PullAuth, RuntimeError } from "./ports.ts";

const IMAGE = "registry.example:5000/private/app:1";

/** A registry that gives its image to one user, and a store that keeps it. */
function world(t: TestContext) {
  const directory = mkdtempSync(join(tmpdir(), "capstan-images-"));
  t.after(() => rmSync(directory, { recursive: true }));
  const pulls: (PullAuth | undefined)[] = [];
  let present = false;
  const context = {
    settings: { directory },
    clock: { now: () => 0 },
    recorder: { event: () => undefined },
    handlerOf: async () => "",
    runtime: {
      imageStatus: async () => (present ? { id: "sha256:1", size: "1" } : undefined),
      async pullImage(_: string, auth: PullAuth | undefined) {
        pulls.push(auth);
        if (auth?.password !== "right") throw new RuntimeError(2, "unauthorized: authentication required");
        present = true;
        return "sha256:1";
      },
    },
  } as unknown as NodeContext;
  const secret = (password: string): Secret =>
    ({
      data: {
        ".dockerconfigjson": Buffer.from(
          JSON.stringify({ auths: { "https://registry.example:5000/v2/": { username: "u", password } } }),
        ).toString("base64"),
      },
    }) as unknown as Secret;
  const references = {
    configMap: async () => undefined,
    secret: async (tenant: string, _: string, name: string) => (tenant === "blue" ? undefined : secret(name)),
  };
  const images = createImagePuller(context, references);
  const pod = (tenant: string, ...secrets: string[]): NodePod => ({
    metadata: {
      namespace: "default",
      name: "p",
      uid: `${tenant}${secrets.join()}`,
      annotations: { [TENANT_ANNOTATION]: tenant },
    },
    spec: { containers: [], imagePullSecrets: secrets.map((name) => ({ name })) },
  });
  const ensure = (of: NodePod, imagePullPolicy = "IfNotPresent") =>
    images.ensure(of, { name: "main", image: IMAGE, imagePullPolicy }, {} as PodSandboxConfig);
  return {
    pulls,
    pod,
    ensure,
    preload: () => {
      present = true;
    },
  };
}
const waits = (reason: string) => (error: unknown) => error instanceof WaitingError && error.reason === reason;

it("a pod's own secret opens the registry, and another's does not", async (t) => {
  const { ensure, pod, pulls } = world(t);
  await assert.rejects(ensure(pod("root")), waits("ErrImagePull"));
  await assert.rejects(ensure(pod("root", "wrong")), waits("ErrImagePull"));
  assert.equal((await ensure(pod("root", "right"))).id, "sha256:1");
  assert.deepEqual(pulls.at(-1)?.username, "u");
});

it("an image that a secret opened is given to others only when the registry gives it to them", async (t) => {
  const { ensure, pod, pulls } = world(t);
  await ensure(pod("root", "right"));
  assert.equal(pulls.length, 1);
  await ensure(pod("green", "right"));
  assert.equal(pulls.length, 1, "the same credentials need no other question");
  await assert.rejects(ensure(pod("blue", "right")), waits("ErrImagePull"));
  await assert.rejects(ensure(pod("root"), "Never"), waits("ErrImageNeverPull"));
});

it("an image from an archive is everybody's", async (t) => {
  const { ensure, pod, pulls, preload } = world(t);
  preload();
  await ensure(pod("root"));
  await ensure(pod("blue"), "Never");
  assert.equal(pulls.length, 0);
  await ensure(pod("root", "right"), "Always");
  await ensure(pod("blue"), "Never");
});

it("names are completed as containers' tools do", () => {
  assert.equal(fullImageName("busybox"), "docker.io/library/busybox:latest");
  assert.equal(fullImageName("localhost:5000/a/b:c"), "localhost:5000/a/b:c");
  assert.equal(fullImageName(`a/b@sha256:${"0".repeat(64)}`), `docker.io/a/b@sha256:${"0".repeat(64)}`);
  assert.equal(fullImageName("Not An Image"), undefined);
});
