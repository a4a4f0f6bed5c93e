/** The node's policies: watches pods, namespaces and NetworkPolicies of all tenants, and keeps this node's rules between pods true to them. */
import { type Log, messageOf } from "#platform/base/log.ts";
import { canonicalAddress, type Family, familyOf, rangeFamily } from "#platform/rules/ranges.ts";
import type { NetworkPolicy, Node, Tenant } from "#sdk/api/generated/types.ts";
import type { GroupVersionResource, KubeObject } from "#sdk/api/object.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, keyOf, tenantOf } from "#sdk/client/port.ts";
import { nth, parseCidr } from "../host/addresses.ts";
import { type RunProgram, runProgram } from "../host/program.ts";
import { type FamilyWords, wordsFor } from "../nft/family.ts";
import { runTables, TableLoop } from "../nft/loop.ts";
import type { Part } from "../nft/parts.ts";
import { nodes as nodesResource, type Pod, pods as podsResource } from "../objects.ts";
import { type PlacedPod, PolicyModel } from "./model.ts";
import { podFacts } from "./pods.ts";
import { type PolicySettings, renderBase, SHARED_SETS } from "./render.ts";

export interface PoliciesOptions {
  /** Its tenant is changed to the wildcard here; root's for Tenants. */
  client: Client;
  settings: PolicySettings;
  /** The same of the second address family, in a table of its own. */
  secondary?: PolicySettings;
  /** What mayReach says of this address (undefined: of any) may have changed. */
  ownerChanged?(address: string | undefined): void;
  log: Log;
  signal: AbortSignal;
  run?: RunProgram;
}

export interface RunningPolicies {
  /** Resolves once what there was at the start is in the kernel. */
  ready: Promise<void>;
  /** Resolves when the signal has aborted and the last transaction is over. The rules stay. */
  stopped: Promise<void>;
  /** A pod has its address. Resolves when the policies that select it hold: before its containers may start. */
  place(pod: PlacedPod): Promise<void>;
  /** The address is free again. */
  unplace(uid: string): void;
  /** Whether a tenant's pods and services may lead to an address, as far as tenants go. */
  mayReach(tenant: string, address: string): boolean;
  hasNamespace(tenant: string, namespace: string): boolean;
}

export const networkPolicies: GroupVersionResource = {
  group: "networking.k8s.io",
  version: "v1",
  resource: "networkpolicies",
};
const namespacesResource: GroupVersionResource = { group: "", version: "v1", resource: "namespaces" };
const tenantsResource: GroupVersionResource = { group: "capstan.dev", version: "v1", resource: "tenants" };

const ROOT = "root";
/** The exception (spec.exceptions of a Tenant) that opens a tenant's pods to those of root, and of others that have it. */
export const POD_NETWORK = "podNetwork";

export function startPolicies(options: PoliciesOptions): RunningPolicies {
  const { log, signal, run = runProgram } = options;
  const [first, ...more] = [options.settings, ...(options.secondary ? [options.secondary] : [])].map((settings) =>
    familyRules(settings, options.ownerChanged, { log, signal, run }),
  ) as [FamilyRules, ...FamilyRules[]];
  const families = [first, ...more];
  const each = (change: (model: PolicyModel, family: Family) => void) => {
    for (const { model, words } of families) change(model, words.family);
  };
  const follow = <T extends KubeObject>(client: Client, resource: GroupVersionResource, set: Setter<T>) => {
    const informer = createInformer<T>(client, resource, { log });
    informer.on({
      added: (object) => set(keyOf(object), object, object),
      updated: (object) => set(keyOf(object), object, object),
      deleted: (object) => set(keyOf(object), undefined, object),
    });
    return informer.start(signal);
  };
  const all = options.client.tenant("*");
  let synced: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    synced = resolve;
  });
  const start = async () => {
    each((model) => model.setOpen(ROOT, true));
    await Promise.all([
      follow<Pod>(all, podsResource, (key, pod) =>
        each((model, family) => model.setPod(key, pod && podFacts(pod, family))),
      ),
      follow<KubeObject>(all, namespacesResource, (key, namespace, any) =>
        each((model) => model.setNamespace(key, tenantOf(any), namespace && (namespace.metadata.labels ?? {}))),
      ),
      follow<NetworkPolicy>(all, networkPolicies, (key, policy) => each((model) => setPolicy(model, key, policy, log))),
      follow<Node>(options.client.tenant(ROOT), nodesResource, (_, node, any) => {
        const { podCIDR = "", podCIDRs = [podCIDR] } = node?.spec ?? {};
        each((model, family) => {
          const range = parseCidr(podCIDRs.find((cidr) => rangeFamily(cidr) === family) ?? "");
          model.setNode(any.metadata.name ?? "", range && nth(range, 1));
        });
      }),
      follow<Tenant>(options.client.tenant(ROOT), tenantsResource, (_, tenant, any) => {
        const { name = "" } = any.metadata;
        const open = tenant?.spec?.exceptions?.includes(POD_NETWORK) === true;
        if (name !== ROOT) each((model) => model.setOpen(name, open));
      }),
    ]);
    await runTables(
      families.map(({ loop }) => loop),
      synced,
    );
  };
  return {
    ready,
    stopped: start(),
    async place(pod) {
      for (const { model, words } of families) {
        const address = [pod.address, pod.secondaryAddress ?? ""].find((ip) => familyOf(ip) === words.family);
        if (address) model.place({ ...pod, address: canonicalAddress(address) });
      }
      // Without policies its address is known to the rules before its first container runs, with them certainly.
      if (first.model.uidOf(pod.key) !== pod.uid || first.model.isIsolated(pod.key))
        await Promise.all(families.map(({ loop }) => loop.flush()));
    },
    unplace: (uid) => each((model) => model.unplace(uid)),
    hasNamespace: (tenant, namespace) => first.model.hasNamespace(tenant, namespace),
    mayReach: (tenant, address) => families.every(({ model }) => model.mayReach(tenant, address)),
  };
}

interface FamilyRules {
  words: FamilyWords;
  model: PolicyModel;
  loop: TableLoop<Part>;
}

function familyRules(
  settings: PolicySettings,
  ownerChanged: PoliciesOptions["ownerChanged"],
  context: { log: Log; signal: AbortSignal; run: RunProgram },
): FamilyRules {
  const words = wordsFor(settings.podCIDR);
  const model = new PolicyModel(settings.nodeName, (part) => loop.touch(part), ownerChanged, words);
  const loop: TableLoop<Part> = new TableLoop<Part>({
    table: `${words.ip} ${settings.table}`,
    what: "network policies",
    base: renderBase(settings),
    sharedSets: SHARED_SETS,
    keys: () => model.keys(),
    render: (part) => model.render(part),
    ...context,
  });
  return { words, model, loop };
}

type Setter<T> = (key: string, object: T | undefined, any: T) => void;

/** What validation would not have let in selects nothing that could be closed: it is left out, and said. */
function setPolicy(model: PolicyModel, key: string, policy: NetworkPolicy | undefined, log: Log): void {
  try {
    model.setPolicy(key, policy);
  } catch (error) {
    log.warn("a network policy cannot be understood and is left out", { policy: key, error: messageOf(error) });
    model.setPolicy(key, undefined);
  }
}
