/** What the API server's admission chain is made of. */

import { tenantBoundary } from "#platform/apiserver/admission/boundary.ts";
import { certificateRules } from "#platform/apiserver/admission/certificates.ts";
import { type AdmissionRule, admissionChain, type ConfiguredAdmission } from "#platform/apiserver/admission/chain.ts";
import { deviceAdminAccess } from "#platform/apiserver/admission/devices.ts";
import { type ExpectedPlugin, untilLoaded } from "#platform/apiserver/admission/gate.ts";
import { namespaceLifecycle } from "#platform/apiserver/admission/namespaces.ts";
import { nodeRules } from "#platform/apiserver/admission/nodes.ts";
import { ownerReferences } from "#platform/apiserver/admission/owners.ts";
import {
  defaultTolerations,
  notReadyTaint,
  priorities,
  serviceAccounts,
  topologyLabels,
} from "#platform/apiserver/admission/pods.ts";
import { MutatingPolicies } from "#platform/apiserver/admission/policies/mutating.ts";
import { ValidatingPolicies } from "#platform/apiserver/admission/policies/validating.ts";
import { alwaysDeny, namespaceExists } from "#platform/apiserver/admission/simple.ts";
import { storageProtection } from "#platform/apiserver/admission/storage.ts";
import { catalogParamKinds, catalogVersions } from "#platform/apiserver/admission/versions.ts";
import { Webhooks } from "#platform/apiserver/admission/webhooks/webhooks.ts";
import type { Authorizer } from "#platform/apiserver/authz/authorizer.ts";
import { ownerOf } from "#platform/apiserver/http/shared.ts";
import type { Admission, AdmissionAttributes } from "#platform/apiserver/registry/admission.ts";
import type { Catalog } from "#platform/apiserver/registry/catalog.ts";
import { groupResource } from "#platform/apiserver/registry/catalog.ts";
import { documentOf } from "#platform/apiserver/registry/document.ts";
import type { TypeRules } from "#platform/apiserver/registry/ports.ts";
import { decoder } from "#platform/apiserver/types.ts";
import { createWebhookClient } from "#platform/apiserver/webhook/client.ts";
import { mayDial, serviceResolver } from "#platform/apiserver/webhook/services.ts";
import type { Log } from "#platform/base/log.ts";
import type { PluginHost } from "#platform/plugin-host/host.ts";
import { createAdmissionPlugins, type ObjectCheck, wantsReview } from "#platform/plugin-host/worlds/v1/admission.ts";
import type { ContextReader } from "#platform/plugin-host/worlds/v1/context.ts";
import { ROOT_TENANT, type Store } from "#platform/store/port.ts";
import type { TenantDirectory } from "#platform/store/tenants.ts";
import { definitionOf, resourceByName } from "#sdk/api/facts.ts";
import type { JsonObject } from "#sdk/api/object.ts";
import { PLUGINS, pluginSpecSchema } from "#sdk/plugin/manifest.ts";
import type { AdmissionSwitches } from "./admission-options.ts";
import { pluginRules } from "./plugin-rules.ts";

/** How long a write waits for plugins that are still being loaded. */
const PLUGINS_WAIT_MS = 10_000;

export interface AdmissionParts {
  store: Store;
  tenants: TenantDirectory;
  plugins: PluginHost;
  types: TypeRules;
  authorizer: Authorizer;
  /** Asked for after all is put together: the strategies it is made of come later. */
  catalog(): Catalog;
  switches: AdmissionSwitches;
  /** PodGroups have priorities. */
  groupPreemption: boolean;
  log: Log;
}

export interface ServerAdmission {
  admission: Admission;
  /** Resolves when what tenants configured has been read; follows it until the signal aborts. */
  start(signal: AbortSignal): Promise<void>;
  /** The plugins are loaded: nothing waits for them any more. */
  pluginsLoaded(): void;
}

export function serverAdmission({
  store,
  tenants,
  plugins,
  types,
  authorizer,
  catalog,
  switches,
  groupPreemption,
  log,
}: AdmissionParts): ServerAdmission {
  const { promise: loaded, resolve: pluginsLoaded } = Promise.withResolvers<void>();
  const admissionPlugins = createAdmissionPlugins(plugins, {
    context: contextReader(store, tenants),
    check: checkObject,
    log,
  });
  const components = untilLoaded({
    components: { hooks: (_tenant, attributes) => admissionPlugins.hooks(attributes) },
    loaded,
    expected: (attributes) => expectedPlugins(store, attributes),
    waitMs: PLUGINS_WAIT_MS,
  });
  const { isOn } = switches;
  const rule = (name: string, one: AdmissionRule) => (isOn(name) ? [one] : []);
  const certificates = {
    approval: isOn("CertificateApproval"),
    signing: isOn("CertificateSigning"),
    subject: isOn("CertificateSubjectRestriction"),
  };
  const rules = [
    ...rule("NamespaceLifecycle", namespaceLifecycle(store)),
    ...rule("NamespaceExists", namespaceExists(store)),
    ...rule("ServiceAccount", serviceAccounts(store)),
    ...rule("TaintNodesByCondition", notReadyTaint),
    ...rule("Priority", priorities(store, groupPreemption)),
    ...rule("DefaultTolerationSeconds", defaultTolerations),
    ...rule("StorageObjectInUseProtection", storageProtection),
    ...rule("OwnerReferencesPermissionEnforcement", ownerReferences(authorizer, catalog)),
    certificateRules(authorizer, certificates),
    ...rule("NodeRestriction", nodeRules(store, authorizer)),
    deviceAdminAccess(store),
    pluginRules(authorizer),
    ...rule("PodTopologyLabels", topologyLabels(store)),
    tenantBoundary(store),
    ...rule("AlwaysDeny", alwaysDeny),
  ];
  const client = createWebhookClient({ resolve: serviceResolver(store), mayDial });
  const versions = catalogVersions(catalog, types);
  const webhooks = new Webhooks({ store, versions, authorizer, client, log });
  const policies = { store, versions, authorizer, paramKinds: catalogParamKinds(catalog), log };
  const configured = [
    { each: new MutatingPolicies(policies), mutates: "MutatingAdmissionPolicy", validates: "MutatingAdmissionPolicy" },
    {
      each: new ValidatingPolicies(policies),
      mutates: "ValidatingAdmissionPolicy",
      validates: "ValidatingAdmissionPolicy",
    },
    { each: webhooks, mutates: "MutatingAdmissionWebhook", validates: "ValidatingAdmissionWebhook" },
  ];
  const configuredRules = configured.map(({ each, mutates, validates }) =>
    switched(each, isOn(mutates), isOn(validates)),
  );
  return {
    admission: admissionChain(rules, components, configuredRules),
    start: async (signal) => {
      await Promise.all(configured.map(({ each }) => each.start(signal)));
    },
    pluginsLoaded,
  };
}

const switched = (each: ConfiguredAdmission, mutates: boolean, validates: boolean): ConfiguredAdmission => ({
  mutate: async (attributes, session) => (mutates ? await each.mutate(attributes, session) : attributes.object),
  validate: async (attributes) => {
    if (validates) await each.validate(attributes);
  },
});

/** What a component made is typed as a client's body is; custom resources are held to their schema when they are validated. */
const checkObject: ObjectCheck = ({ kind }, object) =>
  definitionOf(kind) ? decoder.check(kind, object as unknown as JsonObject, "Ignore", () => undefined) : object;

/** What a manifest declares as context, as this server has it at hand. */
const contextReader =
  (store: Store, tenants: TenantDirectory): ContextReader =>
  async ({ group, resource: plural }, tenantName, namespace, name) => {
    const known = tenants.byName(tenantName);
    if (!known) return [];
    const tenant = ownerOf(known.id, group, plural);
    const namespaced = resourceByName(group, plural)?.namespaced === true;
    const resource = groupResource(group, plural);
    if (name !== undefined) {
      const key = { tenant, resource, namespace: namespaced ? namespace : "", name };
      const stored =
        (await store.get(key, { type: "atLeast", revision: 0 })) ?? (await store.get(key, { type: "consistent" }));
      return stored ? [documentOf(stored)] : [];
    }
    const scope = { tenant, resource, ...(namespaced ? { namespace } : {}) };
    const { objects } = await store.list({ scope, freshness: { type: "atLeast", revision: 0 } });
    // Lists may be long: what is read of them is not kept.
    return objects.map(({ document }) => JSON.parse(document) as unknown);
  };

/** The enabled plugins that want to see a request, from their objects: for the time before they are loaded. */
async function expectedPlugins(store: Store, attributes: AdmissionAttributes): Promise<readonly ExpectedPlugin[]> {
  const resource = groupResource(PLUGINS.group, PLUGINS.resource);
  const tenants = new Set([ROOT_TENANT, attributes.tenant]);
  const lists = [...tenants].map((tenant) =>
    store.list({ scope: { tenant, resource }, freshness: { type: "atLeast", revision: 0 } }),
  );
  const objects = (await Promise.all(lists)).flatMap((list) => list.objects);
  return objects.flatMap(({ key, document }) => {
    const spec = pluginSpecSchema.safeParse((JSON.parse(document) as { spec?: unknown }).spec);
    if (!spec.success || !spec.data.enabled || !spec.data.worlds.includes("admission")) return [];
    return wantsReview(spec.data, attributes) ? [{ name: key.name, failurePolicy: spec.data.failurePolicy }] : [];
  });
}
