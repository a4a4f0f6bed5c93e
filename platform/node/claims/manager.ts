/**
 * Claims of this node's pods (kubernetes/pkg/kubelet/cm/dra): drivers prepare their devices before the pod's sandbox is made, its containers are
 * given them, and what no pod uses any more is unprepared before the API hears that the pod is over.
 */
import { join } from "node:path";
import { delay } from "#platform/base/clock.ts";
import { messageOf } from "#platform/base/log.ts";
import { createTurns } from "#platform/base/turns.ts";
import { isMadeForGroupOf, isReservedForGroupOf } from "#platform/rules/group-claims.ts";
import type { Container, Pod, PodResourceClaim, ResourceClaim, ResourceStatus } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource } from "#sdk/api/object.ts";
import { tenantOf } from "#sdk/client/port.ts";
import type { NodeContext, NodePod } from "../context.ts";
import type { ListedClaim } from "../devices/pod-resources.ts";
import { type ClaimDrivers, createRegisteredDrivers, type RegisteredDrivers } from "./drivers.ts";
import { createDeviceHealth } from "./health.ts";
import { claimKey, type PreparedClaim, PreparedClaims } from "./prepared.ts";

const CLAIMS: GroupVersionResource = { group: "resource.k8s.io", version: "v1", resource: "resourceclaims" };
/** As upstream's: what a pod that is over still holds is found at the latest then. */
const RECONCILE_MS = 60_000;

export interface ClaimManager {
  /** Has the devices of the pod's claims prepared, where they are not. Rejects with why they cannot be. */
  prepare(pod: NodePod): Promise<void>;
  /** Names of the Container Device Interface that a container is given. Throws where its claims are not prepared. */
  devicesOf(pod: NodePod, container: Container): string[];
  /** Claims of which the container has something, as far as they are prepared. */
  of(pod: NodePod, container: Container): ListedClaim[];
  /** `allocatedResourcesStatus` of a container's status. */
  health(pod: NodePod, container: Container): ResourceStatus[];
  /** The pod has claims that are, or may be, prepared. */
  holds(podUid: string): boolean;
  /** Nothing of the pod runs any more. Rejects where a driver could not unprepare what nobody else uses. */
  release(podUid: string): Promise<void>;
  registrations: RegisteredDrivers["registrations"];
  start(signal: AbortSignal): Promise<void>;
}

export interface ClaimParts {
  /** Uids of pods that have, or may have, something running here; undefined: not known yet. */
  active(): ReadonlySet<string> | undefined;
  /** The pod's status is another now. */
  wake(podUid: string): void;
}

export function createClaims(
  context: Pick<NodeContext, "settings" | "clock" | "log" | "client">,
  calls: ClaimDrivers,
  parts: ClaimParts,
): ClaimManager {
  const { settings, log, client } = context;
  const prepared = new PreparedClaims(join(settings.directory, "claims.json"));
  const drivers = createRegisteredDrivers(context, calls);
  const health = createDeviceHealth(calls, drivers.telling, (driver) => {
    for (const uid of prepared.podsWith(driver)) parts.wake(uid);
  });
  /** One thing at a time about each claim: several pods may use it. */
  const inTurn = createTurns();

  /** The claim as it is, which the pod may use and whose drivers are all here. */
  const usable = async (pod: NodePod, { name, made }: NamedClaim): Promise<ResourceClaim> => {
    const { namespace, name: podName, uid } = pod.metadata;
    const claim = await client
      .tenant(tenantOf(pod))
      .get<ResourceClaim>(CLAIMS, { namespace, name })
      .catch((error: unknown) => {
        throw new Error(`fetch ResourceClaim ${name}: ${messageOf(error)}`);
      });
    const isOwn = claim.metadata.ownerReferences?.some((owner) => owner.controller && owner.uid === uid);
    if (made && !isOwn && !isMadeForGroupOf(claim, pod)) {
      throw new Error(
        `ResourceClaim ${namespace}/${name} was not created for Pod ${namespace}/${podName} (Pod is not owner)`,
      );
    }
    const isReserved = claim.status?.reservedFor?.some((user) => user.uid === uid) || isReservedForGroupOf(claim, pod);
    if (!isReserved)
      throw new Error(`pod ${podName} (${uid}) is not allowed to use ResourceClaim ${name} (${claim.metadata.uid})`);
    if (!claim.status?.allocation) throw new Error(`ResourceClaim ${name}: not allocated`);
    for (const driver of driversOf(claim))
      if (!drivers.has(driver)) throw new Error(`DRA driver ${driver} is not registered`);
    return claim;
  };

  /** Whatever fails from here on: it is known that the drivers may have been asked. */
  const prepareClaim = (pod: NodePod, claim: ResourceClaim): Promise<void> => {
    const { uid = "", name = "", namespace = "" } = claim.metadata;
    const identity = { tenant: tenantOf(pod), namespace, name };
    return inTurn(claimKey(identity), async () => {
      const known = prepared.get(claimKey(identity));
      if (known && known.uid !== uid) {
        throw new Error(
          `old ResourceClaim with same name ${name} and different UID ${known.uid} still exists (previous pod force-deleted?!)`,
        );
      }
      const pods = [...new Set([...(known?.pods ?? []), pod.metadata.uid])];
      const state: PreparedClaim = { ...(known ?? { ...identity, uid, drivers: driversOf(claim) }), pods };
      prepared.put(state);
      if (state.devices) return;
      const answers = await Promise.all(
        state.drivers.map(async (driver) =>
          (await calls.prepare(driver, claim)).map((device) => ({ ...device, driver })),
        ),
      );
      prepared.put({ ...state, devices: answers.flat() });
    });
  };

  const releaseClaim = (podUid: string, of: PreparedClaim): Promise<void> =>
    inTurn(claimKey(of), async () => {
      const claim = prepared.get(claimKey(of));
      if (!claim?.pods.includes(podUid)) return;
      const pods = claim.pods.filter((uid) => uid !== podUid);
      if (pods.length > 0) return prepared.put({ ...claim, pods });
      for (const driver of claim.drivers) {
        if (!drivers.has(driver)) throw new Error(`DRA driver ${driver} is not registered`);
        await calls.unprepare(driver, claim);
      }
      prepared.remove(claim);
    });

  const release = async (podUid: string): Promise<void> => {
    for (const claim of prepared.of(podUid)) await releaseClaim(podUid, claim);
  };

  const reconcile = async (): Promise<void> => {
    const known = parts.active();
    if (known === undefined) return;
    for (const uid of prepared.pods()) {
      if (known.has(uid)) continue;
      await release(uid).catch((error: unknown) =>
        log.info("claims of a pod that is over were not unprepared, and are tried again", {
          uid,
          error: messageOf(error),
        }),
      );
    }
  };

  const stateOf = (pod: NodePod, name: string): PreparedClaim | undefined =>
    prepared.get(claimKey({ tenant: tenantOf(pod), namespace: pod.metadata.namespace, name }));

  return {
    async prepare(pod) {
      const named = claimsOf(pod);
      const { uid } = pod.metadata;
      if (named.every(({ name }) => stateOf(pod, name)?.devices && stateOf(pod, name)?.pods.includes(uid))) return;
      try {
        const claims = await Promise.all(named.map((one) => usable(pod, one)));
        for (const claim of claims) await prepareClaim(pod, claim);
      } catch (error) {
        throw new Error(`prepare dynamic resources: ${messageOf(error)}`);
      }
    },
    devicesOf: (pod, container) =>
      requestsOf(pod, container).flatMap(({ name, request }) => {
        const { devices } = stateOf(pod, name) ?? {};
        if (!devices) {
          const { namespace } = pod.metadata;
          throw new Error(`unable to get claim info for ResourceClaim ${name} in namespace ${namespace}`);
        }
        return devicesFor(devices, request).flatMap(({ cdiDevices }) => cdiDevices);
      }),
    of: (pod, container) =>
      [...new Set(requestsOf(pod, container).map(({ name }) => name))].flatMap((name) => {
        const { devices, namespace } = stateOf(pod, name) ?? {};
        return devices && namespace ? [{ name, namespace, devices }] : [];
      }),
    health: (pod, container) =>
      (container.resources?.claims ?? []).flatMap(({ name, request }) => {
        const claim = pod.spec.resourceClaims?.find((one) => one.name === name);
        const { devices } = (claim && stateOf(pod, nameOf(pod, claim) ?? "")) ?? {};
        const resources = health.of(devicesFor(devices ?? [], request));
        return resources.length > 0 ? [{ name: `claim:${name}${request ? `/${request}` : ""}`, resources }] : [];
      }),
    holds: (podUid) => prepared.of(podUid).length > 0,
    release,
    registrations: {
      async added(plugin) {
        await drivers.registrations.added(plugin);
        // What is over waits for its driver.
        void reconcile();
      },
      removed: drivers.registrations.removed,
    },
    async start(signal) {
      const reconciling = async () => {
        while (!signal.aborted) {
          await reconcile();
          await delay(RECONCILE_MS, signal);
        }
      };
      await Promise.all([drivers.start(signal), reconciling(), health.follow(signal)]);
    },
  };
}

const driversOf = ({ status }: ResourceClaim): string[] => [
  ...new Set((status?.allocation?.devices?.results ?? []).map(({ driver }) => driver)),
];

type Devices = NonNullable<PreparedClaim["devices"]>;

/** Those for one request of the claim, or all. */
const devicesFor = (devices: Devices, request: string | undefined): Devices =>
  devices.filter(({ requests }) => !request || requests.length === 0 || requests.includes(request));

interface NamedClaim {
  name: string;
  /** From a template: it has to be the pod's own. */
  made: boolean;
}

const nameOf = (pod: Pod, { name, resourceClaimName }: PodResourceClaim): string | undefined =>
  resourceClaimName ?? pod.status?.resourceClaimStatuses?.find((status) => status.name === name)?.resourceClaimName;

/** All that there is something to prepare of; a claim that its controller found needless has no name. */
function claimsOf(pod: Pod): NamedClaim[] {
  const named = (pod.spec?.resourceClaims ?? []).flatMap((claim) => {
    const name = nameOf(pod, claim);
    return name === undefined ? [] : [{ name, made: claim.resourceClaimName === undefined }];
  });
  const { resourceClaimName } = pod.status?.extendedResourceClaimStatus ?? {};
  return resourceClaimName ? [...named, { name: resourceClaimName, made: false }] : named;
}

/** What of which claims a container has: by its own words, and for the resources that devices stand for. */
function requestsOf(pod: Pod, container: Container): { name: string; request?: string }[] {
  const own = (container.resources?.claims ?? []).flatMap(({ name: of, request }) => {
    const claim = pod.spec?.resourceClaims?.find(({ name }) => name === of);
    const name = claim && nameOf(pod, claim);
    return name === undefined ? [] : [{ name, ...(request ? { request } : {}) }];
  });
  const { resourceClaimName = "", requestMappings = [] } = pod.status?.extendedResourceClaimStatus ?? {};
  const mapped = requestMappings.filter(({ containerName }) => containerName === container.name);
  return [...own, ...mapped.map(({ requestName }) => ({ name: resourceClaimName, request: requestName }))];
}

/** A node that takes no drivers of claims: pods with claims wait for them. */
export const NO_CLAIMS: ClaimManager = {
  async prepare(pod) {
    if (claimsOf(pod).length > 0) throw new Error("prepare dynamic resources: this node takes no drivers of claims");
  },
  devicesOf: () => [],
  of: () => [],
  health: () => [],
  holds: () => false,
  release: async () => undefined,
  registrations: {
    added: async ({ type }) => {
      throw new Error(`plugins of type ${type} are not taken here`);
    },
    removed: () => undefined,
  },
  start: async () => undefined,
};
