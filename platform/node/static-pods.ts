/**
 * Static pods: files in the node's directory that are pods of this node whatever the API says (kubernetes/pkg/kubelet/config, pkg/kubelet/pod). The
 * API shows each as a mirror pod, which this module makes and makes again; deleting one ends nothing.
 */
import { createHash } from "node:crypto";
import { mkdirSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { parse } from "yaml";
import { z } from "zod";
import { messageOf } from "#platform/base/log.ts";
import type { Node, Pod } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { TENANT_ANNOTATION } from "#sdk/client/port.ts";
import type { NodeContext, NodePod } from "./context.ts";
import { PODS } from "./status-writer.ts";

const MIRROR = "kubernetes.io/config.mirror";
const HASH = "kubernetes.io/config.hash";
const SOURCE = "kubernetes.io/config.source";
const ROOT = "root";
const FILE_BYTES_MAX = 1 << 20;

/** What is looked at before the rest is believed to be a pod: whoever writes here owns the node. */
const manifestShape = z.looseObject({
  kind: z.literal("Pod"),
  metadata: z.looseObject({ name: z.string().min(1), namespace: z.string().optional() }),
  spec: z.looseObject({ containers: z.array(z.looseObject({ name: z.string().min(1) })).min(1) }),
});

export const isMirror = (pod: Pod): boolean => pod.metadata.annotations?.[MIRROR] !== undefined;
export const isStatic = (pod: Pod): boolean => pod.metadata.annotations?.[SOURCE] === "file" && !isMirror(pod);

/** The pod that a file describes, on this node. Another text is another pod. Throws for what is no Pod. */
export function staticPod(text: string, file: string, node: string): NodePod {
  const manifest = manifestShape.parse(parse(text)) as unknown as Pod & { spec: NonNullable<Pod["spec"]> };
  const uid = createHash("sha256").update(`${text}\n${node}\n${file}`).digest("hex").slice(0, 32);
  const { metadata, spec } = manifest;
  return {
    ...manifest,
    apiVersion: "v1",
    metadata: {
      ...metadata,
      name: `${metadata.name}-${node}`,
      namespace: metadata.namespace ?? "default",
      uid,
      annotations: { ...metadata.annotations, [HASH]: uid, [SOURCE]: "file", [TENANT_ANNOTATION]: ROOT },
    },
    spec: {
      ...spec,
      nodeName: node,
      restartPolicy: spec.restartPolicy ?? "Always",
      // Nothing but the file's end ends it.
      tolerations: [...(spec.tolerations ?? []), { operator: "Exists", effect: "NoExecute" }],
    },
    status: { phase: "Pending" },
  };
}

/** As the API is to show it. */
export function mirrorOf(pod: NodePod, node: Node): Pod {
  const { uid, annotations, ...metadata } = pod.metadata;
  const { [TENANT_ANNOTATION]: _, ...kept } = annotations ?? {};
  const owner = { apiVersion: "v1", kind: "Node", name: node.metadata.name ?? "", uid: node.metadata.uid ?? "" };
  return {
    apiVersion: "v1",
    kind: "Pod",
    metadata: {
      ...metadata,
      annotations: { ...kept, [MIRROR]: uid },
      ownerReferences: [{ ...owner, controller: true }],
    },
    spec: pod.spec,
  };
}

export interface StaticPods {
  /** Reads the files; to be called every few seconds. */
  sync(): Promise<void>;
  /** A mirror pod as the API has it now. */
  mirrored(pod: Pod): void;
  unmirrored(pod: Pod): void;
  /** The uid under which the API knows a static pod; undefined until there is a mirror pod. */
  mirrorUid(uid: string): string | undefined;
}

export interface StaticPodsParts {
  context: NodeContext;
  node(): Node | undefined;
  run(pod: NodePod): void;
  /** Ends the pod; true once nothing of it is left on the node. */
  end(pod: NodePod): boolean;
}

const keyOf = ({ metadata }: Pod): string => `${metadata.namespace}/${metadata.name}`;

export function createStaticPods({ context, node, run, end }: StaticPodsParts): StaticPods {
  const { settings, client, log } = context;
  const directory = join(settings.directory, "manifests");
  const root = client.tenant(ROOT);
  const known = new Map<string, NodePod>();
  const ending = new Map<string, NodePod>();
  /** By namespace/name: the mirror's uid, and the static pod that it shows. */
  const mirrors = new Map<string, { uid: string; of: string }>();
  const told = new Map<string, string>();

  const readFile = (file: string): NodePod | undefined => {
    const text = readFileSync(join(directory, file), "utf8");
    try {
      if (text.length > FILE_BYTES_MAX) throw new Error("it is too long");
      const pod = staticPod(text, file, settings.name);
      told.delete(file);
      return pod;
    } catch (error) {
      // Once for each text.
      if (told.get(file) !== text) log.warn("a static pod's file cannot be used", { file, error: messageOf(error) });
      told.set(file, text);
      return undefined;
    }
  };

  const read = (): Map<string, NodePod> => {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    const files = readdirSync(directory).filter((name) => /^[^.].*\.(ya?ml|json)$/.test(name));
    const pods = files.sort().flatMap((file) => readFile(file) ?? []);
    return new Map(pods.map((pod) => [pod.metadata.uid, pod]));
  };

  const deleteMirror = async (key: string): Promise<void> => {
    const [namespace = "", name = ""] = key.split("/");
    await root.delete(PODS, { namespace, name }, { gracePeriodSeconds: 0 }).catch((error: unknown) => {
      if (!isReason(error, "NotFound")) throw error;
    });
  };

  const mirror = async (pod: NodePod, owner: Node): Promise<void> => {
    const shown = mirrors.get(keyOf(pod));
    if (shown?.of === pod.metadata.uid) return;
    if (shown !== undefined) await deleteMirror(keyOf(pod));
    const made = await root.create<Pod>(PODS, mirrorOf(pod, owner)).catch((error: unknown) => {
      if (isReason(error, "AlreadyExists")) return undefined;
      throw error;
    });
    if (made) mirrors.set(keyOf(pod), { uid: made.metadata.uid ?? "", of: pod.metadata.uid });
  };

  return {
    mirrored: (pod) =>
      void mirrors.set(keyOf(pod), { uid: pod.metadata.uid ?? "", of: pod.metadata.annotations?.[MIRROR] ?? "" }),
    unmirrored: (pod) => void (mirrors.get(keyOf(pod))?.uid === pod.metadata.uid && mirrors.delete(keyOf(pod))),
    mirrorUid: (uid) => [...mirrors.values()].find(({ of }) => of === uid)?.uid,
    async sync() {
      const wanted = read();
      for (const [uid, pod] of known)
        if (!wanted.has(uid)) {
          known.delete(uid);
          ending.set(uid, pod);
        }
      for (const [uid, pod] of ending) if (end(pod)) ending.delete(uid);
      const busy = new Set([...ending.values()].map(keyOf));
      for (const [uid, pod] of wanted) {
        // Another text of the same pod waits until the one before is gone.
        if (known.has(uid) || busy.has(keyOf(pod))) continue;
        known.set(uid, pod);
        run(pod);
      }
      const owner = node();
      if (owner === undefined) return;
      for (const pod of known.values()) await mirror(pod, owner);
      const kept = new Set([...known.values(), ...ending.values()].map(keyOf));
      for (const key of [...mirrors.keys()].filter((one) => !kept.has(one))) {
        await deleteMirror(key);
        mirrors.delete(key);
      }
    },
  };
}
