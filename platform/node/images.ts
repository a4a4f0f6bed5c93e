/** Images by their pull policy, with back-off (kubernetes/pkg/kubelet/images). */

import { z } from "zod";
import { messageOf } from "#platform/base/log.ts";
import type { Container } from "#sdk/api/generated/types.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { createBackoffs } from "./backoff.ts";
import type { NodeContext, NodePod } from "./context.ts";
import type { Image, PodSandboxConfig } from "./cri.ts";
import { createImageCredentials } from "./image-credentials.ts";
import type { PullAuth } from "./ports.ts";
import type { References } from "./references.ts";

/** A container waits for this reason: ErrImagePull, ImagePullBackOff, ErrImageNeverPull, InvalidImageName … */
export class WaitingError extends Error {
  readonly reason: string;
  constructor(reason: string, message: string) {
    super(message);
    this.reason = reason;
  }
}

const dockerConfigShape = z.object({
  auths: z.record(
    z.string(),
    z.object({
      username: z.string().optional(),
      password: z.string().optional(),
      auth: z.string().optional(),
      identitytoken: z.string().optional(),
    }),
  ),
});

const NAME =
  /^(?:[a-zA-Z0-9.-]+(?::\d+)?\/)?[a-z0-9]+(?:[._-]+[a-z0-9]+)*(?:\/[a-z0-9]+(?:[._-]+[a-z0-9]+)*)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?$/;

/** "busybox" is docker.io/library/busybox:latest; undefined for what is no image reference. */
export function fullImageName(image: string): string | undefined {
  if (!NAME.test(image)) return undefined;
  const first = image.split("/")[0] ?? "";
  const registry = image.includes("/") && (/[.:]/.test(first) || first === "localhost");
  const named = registry ? image : `docker.io/${image.includes("/") ? image : `library/${image}`}`;
  const last = named.slice(named.lastIndexOf("/") + 1);
  return last.includes(":") || last.includes("@") ? named : `${named}:latest`;
}

export interface ImagePuller {
  /** The image on this node. Rejects with WaitingError. */
  ensure(pod: NodePod, container: Container, sandbox: PodSandboxConfig): Promise<Image>;
  forget(uid: string): void;
}

export function createImagePuller(context: NodeContext, references: References): ImagePuller {
  const backoffs = createBackoffs();
  const lastErrors = new Map<string, string>();
  const held = createImageCredentials(context.settings);

  const credentials = async (pod: NodePod, image: string): Promise<PullAuth | undefined> => {
    const registry = image.split("/")[0] ?? "";
    for (const { name } of pod.spec.imagePullSecrets ?? []) {
      const secret =
        name === undefined ? undefined : await references.secret(tenantOf(pod), pod.metadata.namespace, name);
      const data = secret?.data?.[".dockerconfigjson"];
      if (data === undefined) continue;
      const config = dockerConfigShape.safeParse(JSON.parse(Buffer.from(data, "base64").toString("utf8")));
      for (const [server, auth] of Object.entries(config.data?.auths ?? {})) {
        const host = server.replace(/^https?:\/\//, "").split("/")[0];
        if (host !== registry && !(registry === "docker.io" && host === "index.docker.io")) continue;
        const { identitytoken, ...rest } = auth;
        return {
          ...rest,
          ...(identitytoken === undefined ? {} : { identityToken: identitytoken }),
          serverAddress: server,
        };
      }
    }
    return undefined;
  };

  return {
    async ensure(pod, container, sandbox) {
      const asked = container.image ?? "";
      const image = fullImageName(asked);
      const about = { fieldPath: `spec.containers{${container.name}}` };
      const { recorder, runtime } = context;
      if (image === undefined) {
        const message = `Failed to apply default image tag ${JSON.stringify(asked)}: couldn't parse image name ${JSON.stringify(asked)}: invalid reference format`;
        recorder.event(pod, "Warning", "InspectFailed", message, about);
        throw new WaitingError("InvalidImageName", message);
      }
      const handler = await context.handlerOf(pod);
      const present = await runtime.imageStatus(image, handler);
      const policy = container.imagePullPolicy ?? (image.endsWith(":latest") ? "Always" : "IfNotPresent");
      const auth = await credentials(pod, image);
      const mine = present !== undefined && policy !== "Always" && (await held.mayUse(present.id, auth));
      if (present !== undefined && mine) {
        const message = `Container image ${JSON.stringify(asked)} already present on machine and can be accessed by the pod`;
        recorder.event(pod, "Normal", "Pulled", message, about);
        return present;
      }
      if (policy === "Never") {
        const message =
          present === undefined
            ? `Container image ${JSON.stringify(asked)} is not present with pull policy of Never`
            : `image ${JSON.stringify(asked)} is present, but this pod has no credentials that it was pulled with`;
        recorder.event(pod, "Warning", "ErrImageNeverPull", message, about);
        throw new WaitingError("ErrImageNeverPull", message);
      }
      const key = `${pod.metadata.uid}/${image}`;
      const now = context.clock.now();
      if (backoffs.waiting(key, now)) {
        const message = `Back-off pulling image ${JSON.stringify(asked)}`;
        recorder.event(pod, "Normal", "BackOff", message, about);
        const last = lastErrors.get(key);
        throw new WaitingError("ImagePullBackOff", last === undefined ? message : `${message}: ${last}`);
      }
      recorder.event(pod, "Normal", "Pulling", `Pulling image ${JSON.stringify(asked)}`, about);
      try {
        await runtime.pullImage(image, auth, sandbox, handler);
      } catch (error) {
        const why = messageOf(error);
        backoffs.next(key, context.clock.now());
        lastErrors.set(key, `ErrImagePull: ${why}`);
        recorder.event(pod, "Warning", "Failed", `Failed to pull image ${JSON.stringify(asked)}: ${why}`, about);
        recorder.event(pod, "Warning", "Failed", "Error: ErrImagePull", about);
        throw new WaitingError("ErrImagePull", why);
      }
      backoffs.reset(key);
      lastErrors.delete(key);
      const pulled = await runtime.imageStatus(image, handler);
      if (pulled === undefined) throw new WaitingError("ErrImagePull", `image ${asked} is gone after it was pulled`);
      await held.pulled(pulled.id, auth, present?.id);
      const seconds = ((context.clock.now() - now) / 1000).toFixed(3).replace(/0+$/, "").replace(/\.$/, "");
      const message = `Successfully pulled image ${JSON.stringify(asked)} in ${seconds}s (${seconds}s including waiting). Image size: ${pulled.size ?? 0} bytes.`;
      recorder.event(pod, "Normal", "Pulled", message, about);
      return pulled;
    },
    forget(uid) {
      backoffs.forget(`${uid}/`);
      for (const key of lastErrors.keys()) if (key.startsWith(`${uid}/`)) lastErrors.delete(key);
    },
  };
}
