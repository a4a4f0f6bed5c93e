import assert from "node:assert/strict";
import { describe, it } from "node:test";
import { decode, encode } from "./codec.ts";
import { createHooks } from "./hooks.ts";

describe("the runtime component", () => {
  it("asks the runtime's socket for the CRI method of each hook, and answers its JSON", () => {
    const asked: string[] = [];
    const hooks = createHooks((socket, method, request) => {
      asked.push(`${socket} ${method} ${JSON.stringify(decode("ContainerStatusRequest", request))}`);
      return encode("ContainerStatusResponse", { status: { id: "c", state: "CONTAINER_EXITED", exitCode: 137 } });
    });
    const answer = hooks.containerStatus({ containerId: "c" });
    assert.deepEqual(asked, ['runtime /runtime.v1.RuntimeService/ContainerStatus {"containerId":"c"}']);
    assert.deepEqual(answer, {
      status: { id: "c", state: "CONTAINER_EXITED", exitCode: 137, stopSignal: "RUNTIME_DEFAULT" },
    });
  });

  it("finds images at the image service", () => {
    const hooks = createHooks((_socket, method) => {
      assert.equal(method, "/runtime.v1.ImageService/ListImages");
      return encode("ListImagesResponse", { images: [{ id: "sha256:1", repoTags: ["a:1"], size: 5 }] });
    });
    assert.deepEqual(hooks.listImages({}), {
      images: [{ id: "sha256:1", repoTags: ["a:1"], size: "5" }],
    });
  });
});
