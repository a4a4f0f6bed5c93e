import { deepEqual } from "node:assert/strict";
import { describe, test } from "node:test";
import type { Node, PersistentVolume, PersistentVolumeClaim, Pod, VolumeAttachment } from "#sdk/api/generated/types.ts";
import type { Client } from "#sdk/client/port.ts";
import { NODES, PERSISTENT_VOLUME_CLAIMS, PERSISTENT_VOLUMES, PODS, VOLUME_ATTACHMENTS } from "../resources.ts";
import { converges } from "../testing/converge.ts";
import { attachDetachController } from "./controller.ts";
import { attachmentFor, stepFor, UNMOUNT_WAIT_MS, uniqueName } from "./reconcile.ts";

const CSI = { driver: "disk.example", volumeHandle: "h1" };
const volume = (mode = "ReadWriteOnce"): PersistentVolume => ({
  apiVersion: "v1",
  kind: "PersistentVolume",
  metadata: { name: "pv" },
  spec: { csi: CSI, accessModes: [mode], claimRef: { namespace: "default", name: "data" } },
});
const pod = (name: string, nodeName: string, phase = "Running"): Pod => ({
  apiVersion: "v1",
  kind: "Pod",
  metadata: { name, namespace: "default" },
  spec: { nodeName, containers: [], volumes: [{ name: "v", persistentVolumeClaim: { claimName: "data" } }] },
  status: { phase },
});
const attached = (node: string): VolumeAttachment => attachmentFor(volume(), CSI, node);
const using: Node = { metadata: { name: "a" }, status: { volumesInUse: [uniqueName(CSI)] } };

describe("a volume", () => {
  const cases: [
    string,
    Partial<Parameters<typeof stepFor>[0]>,
    { attach?: string[]; detach?: string[]; told?: string[] },
  ][] = [
    ["is attached where a pod uses it", { pods: [pod("x", "a")] }, { attach: ["a"] }],
    ["stays attached while it is used", { pods: [pod("x", "a")], attachments: [attached("a")] }, {}],
    [
      "is detached after its last pod",
      { pods: [pod("x", "a", "Succeeded")], attachments: [attached("a")] },
      { detach: ["a"] },
    ],
    ["stays while its node still uses it", { attachments: [attached("a")], node: () => using, freeSince: () => 1 }, {}],
    [
      "is taken from a node that never says so",
      { attachments: [attached("a")], node: () => using, freeSince: () => 1 - UNMOUNT_WAIT_MS },
      { detach: ["a"] },
    ],
    [
      "is taken from a node that is out of service",
      {
        attachments: [attached("a")],
        node: () => ({
          ...using,
          spec: { taints: [{ key: "node.kubernetes.io/out-of-service", effect: "NoExecute" }] },
        }),
      },
      { detach: ["a"] },
    ],
    [
      "waits for the node that has it",
      { pods: [pod("x", "a"), pod("y", "b")], attachments: [attached("a")] },
      { told: ['y: Multi-Attach error for volume "pv" Volume is already used by pod(s) x'] },
    ],
    [
      "is attached to many nodes where it may be",
      { volume: volume("ReadWriteMany"), pods: [pod("x", "a"), pod("y", "b")] },
      { attach: ["a", "b"] },
    ],
  ];
  for (const [name, given, expected] of cases) {
    test(name, () => {
      const step = stepFor({
        volume: volume(),
        pods: [],
        attachments: [],
        node: (n) => ({ metadata: { name: n } }),
        freeSince: () => 1,
        now: 1,
        ...given,
      });
      deepEqual(
        step.attach.map((a) => a.spec.nodeName),
        expected.attach ?? [],
      );
      deepEqual(
        step.detach.map((a) => a.spec.nodeName),
        expected.detach ?? [],
      );
      deepEqual(
        step.events.map((e) => `${e.pod.metadata.name}: ${e.message}`),
        expected.told ?? [],
      );
    });
  }
});

test("a volume is attached to its pods' nodes and nowhere else, whatever happens on the way", async (t) => {
  const claim: PersistentVolumeClaim = {
    apiVersion: "v1",
    kind: "PersistentVolumeClaim",
    metadata: { name: "data", namespace: "default" },
    spec: { volumeName: "pv" },
  };
  await converges(t, {
    loops: [attachDetachController],
    steps: [
      (client: Client) => client.create(NODES, { apiVersion: "v1", kind: "Node", metadata: { name: "a" } }),
      (client: Client) => client.create(PERSISTENT_VOLUMES, volume("ReadWriteMany")),
      (client: Client) => client.create(PERSISTENT_VOLUME_CLAIMS, claim),
      (client: Client) => client.create(PODS, pod("x", "a")),
      (client: Client) => client.create(PODS, pod("over", "b", "Failed")),
      (client: Client) => client.create(VOLUME_ATTACHMENTS, attached("c")),
    ],
    view: async (client) => (await client.list<VolumeAttachment>(VOLUME_ATTACHMENTS)).items.map((a) => a.spec.nodeName),
    expected: ["a"],
  });
});
