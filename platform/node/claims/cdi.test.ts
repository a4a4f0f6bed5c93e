import assert from "node:assert/strict";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, describe, it } from "node:test";
import { resolveCdi } from "./cdi.ts";

const scratch = mkdtempSync(join(tmpdir(), "cdi-"));
after(() => rmSync(scratch, { recursive: true, force: true }));
const [weak, strong] = ["etc", "run"].map((name) => join(scratch, name)) as [string, string];
for (const directory of [weak, strong]) mkdirSync(directory);

const none = { envs: [], mounts: [], deviceNodes: [], annotations: [], cdiDevices: [] };
const resolve = (...cdiDevices: string[]) => resolveCdi({ ...none, cdiDevices }, [weak, strong, join(scratch, "no")]);

describe("devices of the container device interface", () => {
  writeFileSync(
    join(weak, "gpu.yaml"),
    `cdiVersion: "0.6.0"
kind: example.com/gpu
containerEdits: {env: [ALL=yes]}
devices:
- name: a
  containerEdits:
    env: [WHO=a, "EMPTY"]
    deviceNodes: [{path: /dev/gpu0}, {path: /dev/ctl, hostPath: /dev/gpuctl, permissions: r}]
    mounts: [{hostPath: /lib/gpu, containerPath: /usr/lib/gpu, options: [ro, bind]}, {hostPath: /d, containerPath: /d}]
- name: b
  containerEdits: {env: [WHO=b]}
- name: hooked
  containerEdits: {hooks: [{hookName: createContainer, path: /bin/x}]}
`,
  );
  writeFileSync(join(strong, "broken.json"), "{");
  writeFileSync(
    join(strong, "nic.json"),
    JSON.stringify({ cdiVersion: "0.3.0", kind: "example.com/nic", devices: [{ name: "0", containerEdits: {} }] }),
  );

  it("are given as variables, mounts and device nodes, what a file says of all of its devices once", () => {
    assert.deepEqual(resolve("example.com/gpu=a", "example.com/gpu=b", "example.com/nic=0"), {
      ...none,
      envs: [
        ["ALL", "yes"],
        ["WHO", "a"],
        ["EMPTY", ""],
        ["WHO", "b"],
      ],
      mounts: [
        { hostPath: "/lib/gpu", containerPath: "/usr/lib/gpu", readOnly: true },
        { hostPath: "/d", containerPath: "/d", readOnly: false },
      ],
      deviceNodes: [
        { hostPath: "/dev/gpu0", containerPath: "/dev/gpu0", permissions: "rwm" },
        { hostPath: "/dev/gpuctl", containerPath: "/dev/ctl", permissions: "r" },
      ],
    });
  });

  it("that nobody wrote down, or that need more than a runtime can be told, are refused", () => {
    assert.throws(() => resolve("example.com/gpu=c"), {
      message: "CDI device injection failed: unresolvable CDI devices example.com/gpu=c",
    });
    assert.throws(() => resolve("example.com/gpu=hooked"), /hooks are not supported/);
  });

  it("in the stronger directory count", () => {
    const spec = { kind: "example.com/gpu", devices: [{ name: "b", containerEdits: { env: ["WHO=other"] } }] };
    writeFileSync(join(strong, "gpu.json"), JSON.stringify(spec));
    assert.deepEqual(resolve("example.com/gpu=b").envs, [["WHO", "other"]]);
  });
});
