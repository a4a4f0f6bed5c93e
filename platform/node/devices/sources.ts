/**
 * Follows where devices come from: programs that registered a socket (until they end: then they register again), and components that know
 * devices themselves (as long as their Plugins are there).
 */
import { statSync } from "node:fs";
import { delay } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import { isExtendedResource } from "#platform/rules/extended-resources.ts";
import type { DeviceStock } from "#sdk/plugin/types.ts";
import type { NodeContext } from "../context.ts";
import type { DeviceSources } from "../ports.ts";

/** Of the device plugin API: what agent and plugins agree on. */
const VERSION = "v1beta1";
/** Where a source leaves it to the agent. */
const LOOK_MS = 10_000;
const LOOK_MS_MIN = 200;
const NATIVES_MS = 5_000;

export interface SourceEvents {
  stocked(source: string, stock: DeviceStock): void;
  /** Its devices are not to be used; a program with a socket has to register again. */
  ended(source: string): void;
}

export interface FollowedSources {
  /** Rejects with why the node does not take it. */
  register(resource: string, versions: readonly string[], socket: string): Promise<void>;
  /** The program took its socket away. */
  leave(resource: string): void;
  followNatives(signal: AbortSignal): Promise<void>;
  close(): void;
}

/** The source itself said no: the stream of its devices has ended, or it does not answer at its socket. */
const hasEnded = (error: unknown): boolean =>
  error instanceof Error &&
  "kind" in error &&
  error.kind === "failure" &&
  "reason" in error &&
  error.reason !== "DeadlineExceeded" &&
  error.reason !== "Timeout";

export function followSources(
  { log }: Pick<NodeContext, "log">,
  sources: DeviceSources,
  events: SourceEvents,
): FollowedSources {
  const following = new Map<string, AbortController>();

  const end = (source: string): void => {
    following.get(source)?.abort();
    following.delete(source);
    events.ended(source);
  };

  const follow = async (source: string, program: boolean): Promise<void> => {
    following.get(source)?.abort();
    const ending = new AbortController();
    following.set(source, ending);
    const { signal } = ending;
    while (!signal.aborted) {
      let next = LOOK_MS;
      try {
        const stock = await sources.inventory(source);
        if (signal.aborted) return;
        events.stocked(source, stock);
        next = stock.nextMs || LOOK_MS;
      } catch (error) {
        if (signal.aborted) return;
        log.warn("a source of devices does not say what it has", { source, error: messageOf(error) });
        if (program && hasEnded(error)) {
          end(source);
          sources.remove(source);
          return;
        }
        if (!program) events.ended(source);
        next = LOOK_MS_MIN * 5;
      }
      await delay(Math.max(LOOK_MS_MIN, next), signal);
    }
  };

  return {
    async register(resource, versions, socket) {
      if (!versions.includes(VERSION))
        throw new Error(
          `requested API version ${JSON.stringify(versions.join())} is not supported by kubelet. Supported version is ["${VERSION}"]`,
        );
      if (!isExtendedResource(resource)) throw new Error(`the ResourceName ${JSON.stringify(resource)} is invalid`);
      if (statSync(socket, { throwIfNoEntry: false })?.isSocket() !== true)
        throw new Error(`failed to dial device plugin: nobody listens at ${socket}`);
      await sources.add(resource, socket);
      log.info("a device plugin registered", { resource });
      void follow(resource, true);
    },
    leave(resource) {
      if (!following.has(resource)) return;
      end(resource);
      sources.remove(resource);
    },
    async followNatives(signal) {
      const known = new Set<string>();
      while (!signal.aborted) {
        const present = new Set(sources.natives());
        for (const name of known)
          if (!present.has(name)) {
            known.delete(name);
            end(name);
          }
        for (const name of present)
          if (!known.has(name)) {
            known.add(name);
            void follow(name, false);
          }
        await delay(NATIVES_MS, signal);
      }
    },
    close() {
      for (const ending of following.values()) ending.abort();
      following.clear();
    },
  };
}
