import { deepEqual, equal } from "node:assert/strict";
import { test } from "node:test";
import type { Pod } from "#sdk/api/generated/types.ts";
import { isConcerned, patchFor, violations } from "./images.ts";

const pod = (image: string, imagePullPolicy?: string): Pod => ({
  metadata: {},
  spec: {
    initContainers: [{ name: "i", image: "a", imagePullPolicy: "Always" }],
    containers: [{ name: "c", image, ...(imagePullPolicy ? { imagePullPolicy } : {}) }],
    volumes: [
      { name: "v", image: { reference: "r", pullPolicy: "Never" } },
      { name: "w", emptyDir: {} },
    ],
  },
});

test("containers and image volumes pull always", () => {
  deepEqual(
    patchFor(pod("b", "Never")).map(({ path }) => path),
    ["/spec/containers/0/imagePullPolicy", "/spec/volumes/0/image/pullPolicy"],
  );
});

test("what somebody set otherwise afterwards is told by its field", () => {
  deepEqual(violations(pod("b", "IfNotPresent")), [
    'spec.containers[0].imagePullPolicy: Unsupported value: "IfNotPresent": supported values: "Always"',
    'spec.volumes[0].image.pullPolicy: Unsupported value: "Never": supported values: "Always"',
  ]);
});

test("an update without a new image is left alone", () => {
  equal(isConcerned(pod("b"), pod("b")), false);
  equal(isConcerned(pod("c"), pod("b")), true);
  equal(isConcerned(pod("b"), undefined), true);
});
