/**
 * Two loops: one keeps the ranges of service addresses while addresses depend on them, and makes the default one; one shows which service holds
 * which address. The API server gives addresses by ledgers of its own, which are exact: IPAddresses follow them (`decisions/072`).
 */
import type { IPAddress, Service, ServiceCIDR } from "#sdk/api/generated/types.ts";
import { isReason } from "#sdk/api/status.ts";
import { runController, splitKey } from "#sdk/client/controller.ts";
import { keyOf, tenantOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, type ControllerContext, clientFor, synced } from "../context.ts";
import { isTerminating } from "../objects.ts";
import { IP_ADDRESSES, SERVICE_CIDRS } from "../resources.ts";
import { addressesOf, addressObject, addressStep, contains, isAllocated, type Step, stepFor } from "./reconcile.ts";

const WORKERS = 2;
const DEFAULT_RANGE = "kubernetes";

export const serviceCIDRController: Controller = {
  name: "service-cidr",
  async start(context) {
    const queue = createWorkQueue();
    const { serviceCIDRs, ipAddresses, namespaces } = context.informers;
    const [ranges, addresses, spaces] = [serviceCIDRs(), ipAddresses(), namespaces()];
    const rangesOf = (tenant: string) => ranges.list().filter((range) => tenantOf(range) === tenant);
    /** What ends may wait for this one, or for its addresses. */
    const nearby = (object: ServiceCIDR | IPAddress) => {
      for (const range of rangesOf(tenantOf(object))) if (isTerminating(range)) queue.add(keyOf(range));
    };
    const addAll = (range: ServiceCIDR) => {
      queue.add(keyOf(range));
      nearby(range);
    };
    ranges.on({ added: addAll, updated: addAll, deleted: addAll });
    addresses.on({
      deleted(address) {
        for (const range of rangesOf(tenantOf(address)))
          if (isAllocated(address) && range.spec?.cidrs?.some((cidr) => contains(cidr, address.metadata.name ?? "")))
            queue.add(keyOf(range));
      },
    });
    spaces.on({
      added: (space) =>
        space.metadata.name === "default" ? queue.add(`${tenantOf(space)}//${DEFAULT_RANGE}`) : undefined,
    });
    if (!(await synced(context.signal, ranges, addresses, spaces))) return;
    await runController({
      name: "service-cidr",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const { tenant, name } = splitKey(key);
        const range = ranges.get(key);
        if (!range) return name === DEFAULT_RANGE ? makeDefault(context, tenant) : undefined;
        const taken = addresses.list().filter((address) => tenantOf(address) === tenant);
        const step = stepFor(range, rangesOf(tenant), taken, Date.now());
        await take(context, range, step);
        return step.requeueAfterMs === undefined ? undefined : { requeueAfterMs: step.requeueAfterMs };
      },
    });
  },
};

async function makeDefault(context: ControllerContext, tenant: string): Promise<void> {
  const cidrs = context.serviceCIDRs ?? [];
  const isGone = !context.informers.namespaces().get(`${tenant}//default`);
  if (cidrs.length === 0 || isGone) return;
  const metadata = { name: DEFAULT_RANGE };
  try {
    const range: ServiceCIDR = {
      apiVersion: "networking.k8s.io/v1",
      kind: "ServiceCIDR",
      metadata,
      spec: { cidrs: [...cidrs] },
    };
    await context.client.tenant(tenant).create<ServiceCIDR>(SERVICE_CIDRS, range);
  } catch (error) {
    if (!isReason(error, "AlreadyExists")) throw error;
  }
}

async function take(context: ControllerContext, range: ServiceCIDR, step: Step): Promise<void> {
  const client = clientFor(context, range);
  let present = range;
  try {
    if (step.finalizers) {
      const metadata = { ...range.metadata, finalizers: step.finalizers };
      present = await client.update<ServiceCIDR>(SERVICE_CIDRS, { ...range, metadata });
    }
    if (step.condition) {
      const others = (present.status?.conditions ?? []).filter((c) => c.type !== step.condition?.type);
      const status = { ...present.status, conditions: [...others, step.condition] };
      await client.update<ServiceCIDR>(SERVICE_CIDRS, { ...present, status }, { subresource: "status" });
    }
  } catch (error) {
    if (!isReason(error, "NotFound")) throw error;
  }
}

export const ipAddressController: Controller = {
  name: "ip-address",
  async start(context) {
    const queue = createWorkQueue();
    const [services, addresses] = [context.informers.services(), context.informers.ipAddresses()];
    const addOf = (service: Service) => {
      for (const address of addressesOf(service)) queue.add(`${tenantOf(service)}//${address}`);
    };
    const add = (address: IPAddress) => queue.add(keyOf(address));
    services.on({
      added: addOf,
      updated(service, old) {
        addOf(old);
        addOf(service);
      },
      deleted: addOf,
    });
    addresses.on({ added: add, updated: add, deleted: add });
    if (!(await synced(context.signal, services, addresses))) return;
    await runController({
      name: "ip-address",
      queue,
      workers: WORKERS,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const { tenant, name } = splitKey(key);
        const [holder] = services.byIndex("address", `${tenant}/${name}`);
        const present = addresses.get(key);
        const client = context.client.tenant(tenant);
        const step = addressStep(present, holder);
        if (step === "make" && holder) await client.create(IP_ADDRESSES, addressObject(holder, name));
        if (step !== "remove" || !present) return;
        try {
          await client.delete(IP_ADDRESSES, { name }, { preconditions: { uid: present.metadata.uid } });
        } catch (error) {
          if (!isReason(error, "NotFound")) throw error;
        }
      },
    });
  },
};
