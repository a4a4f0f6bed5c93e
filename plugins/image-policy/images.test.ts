import assert from "node:assert/strict";
import { test } from "node:test";
import { type ImagePolicy, imageName, violations } from "./images.ts";

test("names are completed as runtimes complete them", () => {
  const names: [string, string, string, string][] = [
    ["nginx", "docker.io/library/nginx", "latest", ""],
    ["team/app:1", "docker.io/team/app", "1", ""],
    ["localhost:5000/app", "localhost:5000/app", "latest", ""],
    ["registry.example/app@sha256:00", "registry.example/app", "", "sha256:00"],
    ["registry.example:443/a/b:v@sha256:00", "registry.example:443/a/b", "v", "sha256:00"],
  ];
  for (const [image, repository, tag, digest] of names) assert.deepEqual(imageName(image), { repository, tag, digest });
});

test("every kind of container is looked at, and what is wrong is said", () => {
  const policy: ImagePolicy = { allowed: ["registry.example/*"], deniedTags: ["latest"] };
  const of = (image: string) => [{ name: "c", image }];
  const pod = {
    metadata: { namespace: "default" },
    spec: {
      initContainers: of("registry.example/app"),
      containers: of("registry.example/app:1"),
      ephemeralContainers: of("registry.examples/app:1"),
    },
  };
  assert.deepEqual(violations(policy, pod), [
    'container "c", image "registry.example/app": the tag latest is denied',
    'container "c", image "registry.examples/app:1": registry.examples/app is not among the allowed: registry.example/*',
  ]);
  assert.deepEqual(violations({ ...policy, exemptNamespaces: ["default"] }, pod), []);
});

test("where a digest is required, a tag does not do", () => {
  const pod = { spec: { containers: [{ name: "c", image: "nginx:1.29" }] } };
  assert.match(violations({ requireDigest: true }, pod)[0] ?? "", /a digest is required/);
  const pinned = { spec: { containers: [{ name: "c", image: "nginx:latest@sha256:00" }] } };
  assert.deepEqual(violations({ requireDigest: true, deniedTags: ["latest"] }, pinned), []);
});
