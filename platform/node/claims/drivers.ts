/** The drivers of claims on this node (kubernetes/pkg/kubelet/cm/dra/plugin): who registered, and what becomes of the devices of one that is gone. */
import { connect } from "node:net";
import { type Clock, delay } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import type { ResourceClaim } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource } from "#sdk/api/object.ts";
import type { PreparedDevice } from "#sdk/plugin/types.ts";
import type { NodeContext } from "../context.ts";
import type { Registered } from "../csi/registration.ts";
import { hostPathOf } from "../volumes/host.ts";

/** World device (plugins/dra-drivers); rejects with an Error that says what the driver said. */
export interface ClaimDrivers {
  /** Makes the driver behind a socket callable under its name, in place of what had the name. */
  add(driver: string, socket: string, services: DriverServices): Promise<void>;
  remove(driver: string): void;
  prepare(driver: string, claim: ResourceClaim): Promise<PreparedDevice[]>;
  unprepare(driver: string, claim: { uid: string; namespace: string; name: string }): Promise<void>;
  /** Devices of which the driver said lately how they are. Costs it no call. */
  health(driver: string): Promise<KnownHealth[]>;
}

export interface DriverServices {
  /** "v1.DRAPlugin". */
  service: string;
  /** It tells of its devices' health. */
  health: boolean;
}

export interface KnownHealth {
  pool: string;
  device: string;
  healthy: boolean;
}

/** The newest that both know is spoken. */
const SERVICES = ["v1.DRAPlugin", "v1beta1.DRAPlugin"];
const HEALTH = "v1alpha1.DRAResourceHealth";
const SLICES: GroupVersionResource = { group: "resource.k8s.io", version: "v1", resource: "resourceslices" };
/** A driver that is replaced comes back within this time (upstream: its wiping delay). */
const GONE_MS = 30_000;
const LOOK_MS = 5_000;
const CONNECT_MS = 2_000;

export interface RegisteredDrivers {
  has(driver: string): boolean;
  /** Those that tell of their devices' health. */
  telling(): string[];
  registrations: { added(plugin: Registered): Promise<void>; removed(plugin: Registered): void };
  /** Until the signal: devices of drivers that are gone are taken from the cluster. */
  start(signal: AbortSignal): Promise<void>;
}

interface Driver {
  socket: string;
  health: boolean;
  /** Milliseconds since the epoch; undefined: it answers. */
  goneAt: number | undefined;
}

export function createRegisteredDrivers(
  { client, settings, log, clock }: Pick<NodeContext, "client" | "settings" | "log"> & { clock: Pick<Clock, "now"> },
  calls: ClaimDrivers,
): RegisteredDrivers {
  const drivers = new Map<string, Driver>();
  /** Without a socket since then. */
  const left = new Map<string, number>();

  const wipe = async (driver: string | undefined): Promise<void> => {
    const own = `spec.nodeName=${settings.name}`;
    const fieldSelector = driver === undefined ? own : `${own},spec.driver=${driver}`;
    await client.deleteCollection(SLICES, { fieldSelector });
    log.info("resource slices of drivers that are not there were removed", { driver: driver ?? "all" });
  };

  const look = async (): Promise<void> => {
    for (const driver of drivers.values()) {
      const answers = await isListening(driver.socket);
      if (answers) driver.goneAt = undefined;
      else driver.goneAt ??= clock.now();
    }
    const gone = [...left, ...[...drivers].map(([name, { goneAt }]) => [name, goneAt] as const)];
    for (const [name, since] of gone) {
      if (since === undefined || clock.now() - since < GONE_MS) continue;
      await wipe(name);
      left.delete(name);
      const driver = drivers.get(name);
      // Once for each time that it goes.
      if (driver) driver.goneAt = Number.POSITIVE_INFINITY;
    }
  };

  return {
    has: (driver) => drivers.has(driver),
    telling: () => [...drivers].filter(([, { health }]) => health).map(([name]) => name),
    registrations: {
      async added({ name, endpoint, supportedVersions }) {
        const service = SERVICES.find((one) => supportedVersions.includes(one));
        if (service === undefined) {
          const [theirs, ours] = [supportedVersions, SERVICES].map((all) => all.map((one) => `"${one}"`).join(" "));
          const why =
            supportedVersions.length === 0
              ? "empty list of supported gRPC services (aka supported versions)"
              : `none of services supported by the plugin ([${theirs}]) are supported by the kubelet ([${ours}])`;
          throw new Error(
            `invalid supported gRPC versions of DRA driver plugin ${name} at endpoint ${endpoint}: ${why}`,
          );
        }
        const socket = hostPathOf(endpoint, settings.directory);
        const health = supportedVersions.includes(HEALTH);
        await calls.add(name, socket, { service, health });
        drivers.set(name, { socket, health, goneAt: undefined });
        left.delete(name);
        log.info("a driver of claims is ready", { driver: name, service });
      },
      removed({ name }) {
        drivers.delete(name);
        left.set(name, clock.now());
        calls.remove(name);
      },
    },
    async start(signal) {
      let wiped = false;
      while (!signal.aborted) {
        try {
          // Nobody has registered with an agent that starts: until they do, their devices cannot be had.
          if (!wiped) await wipe(undefined);
          wiped = true;
          await look();
        } catch (error) {
          log.warn("resource slices of drivers that are gone were not removed", { error: messageOf(error) });
        }
        await delay(LOOK_MS, signal);
      }
    },
  };
}

const isListening = (socket: string): Promise<boolean> =>
  new Promise((resolve) => {
    const attempt = connect(socket);
    const end = (answers: boolean) => {
      attempt.destroy();
      resolve(answers);
    };
    attempt.setTimeout(CONNECT_MS, () => end(false));
    attempt.once("connect", () => end(true));
    attempt.once("error", () => end(false));
  });
