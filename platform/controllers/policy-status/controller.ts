/**
 * Says in the status of each ValidatingAdmissionPolicy what the types of the objects that it matches say of its expressions, once a generation
 * (upstream: pkg/controller/validatingadmissionpolicystatus).
 */
import type { CelType } from "#platform/rules/cel/index.ts";
import {
  builtInType,
  type CheckedKind,
  customType,
  resourcesOf,
  typeWarnings,
} from "#platform/rules/policies/type-checking.ts";
import type { StructuralSchema } from "#platform/rules/structural/schema.ts";
import { definitionOf, resourceByGVK, resourceByGVR } from "#sdk/api/facts.ts";
import type { CustomResourceDefinition, ValidatingAdmissionPolicy } from "#sdk/api/generated/types.ts";
import { runController } from "#sdk/client/controller.ts";
import { type Client, keyOf } from "#sdk/client/port.ts";
import { createWorkQueue } from "#sdk/client/workqueue.ts";
import { type Controller, clientFor, synced } from "../context.ts";
import { CUSTOM_RESOURCE_DEFINITIONS, VALIDATING_ADMISSION_POLICIES } from "../resources.ts";

const MANAGER = "validatingadmissionpolicy-status";

/** What custom resources of a tenant look like; read once for one policy. */
type Definitions = () => Promise<readonly CustomResourceDefinition[]>;

function schemaType(definition: CustomResourceDefinition | undefined, version: string): CelType | undefined {
  const { names, versions } = definition?.spec ?? {};
  const schema = versions?.find(({ name }) => name === version)?.schema?.openAPIV3Schema;
  return schema && customType(schema as StructuralSchema, names?.kind ?? "");
}

async function kindsOf({ spec }: ValidatingAdmissionPolicy, definitions: Definitions): Promise<CheckedKind[]> {
  const found = new Map<string, CheckedKind>();
  for (const { group, version, resource } of resourcesOf(spec?.matchConstraints?.resourceRules ?? [])) {
    const facts = resourceByGVR({ group, version, resource });
    const definition = facts
      ? undefined
      : (await definitions()).find((d) => d.spec?.group === group && d.spec.names?.plural === resource);
    const kind = { group, version, kind: facts?.kind ?? definition?.spec?.names?.kind ?? "" };
    const type = facts ? builtInType(definitionOf(kind)) : schemaType(definition, version);
    if (type) found.set(JSON.stringify(kind), { kind, type });
  }
  return [...found.values()];
}

async function paramsOf({ spec }: ValidatingAdmissionPolicy, definitions: Definitions): Promise<CelType | undefined> {
  const { apiVersion = "", kind = "" } = spec?.paramKind ?? {};
  if (kind === "") return undefined;
  const [group = "", version = ""] = apiVersion.includes("/") ? apiVersion.split("/", 2) : ["", apiVersion];
  const gvk = { group, version, kind };
  if (resourceByGVK(gvk)) return builtInType(definitionOf(gvk));
  const definition = (await definitions()).find((d) => d.spec?.group === group && d.spec.names?.kind === kind);
  return schemaType(definition, version);
}

/** The status that the policy is to have; undefined when it says so already. */
export async function statusOf(
  policy: ValidatingAdmissionPolicy,
  definitions: Definitions,
): Promise<NonNullable<ValidatingAdmissionPolicy["status"]> | undefined> {
  const { generation = 0 } = policy.metadata;
  if (generation <= (policy.status?.observedGeneration ?? 0)) return undefined;
  const { spec = {} } = policy;
  const warnings = typeWarnings(spec, await kindsOf(policy, definitions), await paramsOf(policy, definitions));
  return {
    observedGeneration: generation,
    typeChecking: warnings.length > 0 ? { expressionWarnings: warnings } : {},
  };
}

function definitionsOf(client: Client): Definitions {
  let read: Promise<readonly CustomResourceDefinition[]> | undefined;
  return () => {
    read ??= client.list<CustomResourceDefinition>(CUSTOM_RESOURCE_DEFINITIONS).then(({ items }) => items);
    return read;
  };
}

export const policyStatusController: Controller = {
  name: "validatingadmissionpolicy-status",
  async start(context) {
    const queue = createWorkQueue();
    const policies = context.informers.admissionPolicies();
    const enqueue = (policy: ValidatingAdmissionPolicy) => queue.add(keyOf(policy));
    policies.on({ added: enqueue, updated: enqueue });
    if (!(await synced(context.signal, policies))) return;
    await runController({
      name: "validatingadmissionpolicy-status",
      queue,
      workers: 1,
      log: context.log,
      signal: context.signal,
      async reconcile(key) {
        const policy = policies.get(key);
        if (!policy) return;
        const client = clientFor(context, policy);
        const status = await statusOf(policy, definitionsOf(client));
        if (!status) return;
        const { name = "" } = policy.metadata;
        const { group, version } = VALIDATING_ADMISSION_POLICIES;
        const kind = { apiVersion: `${group}/${version}`, kind: "ValidatingAdmissionPolicy" };
        const body = { ...kind, metadata: { name }, status };
        await client.patch(
          VALIDATING_ADMISSION_POLICIES,
          { name },
          { type: "apply", body, fieldManager: MANAGER, force: true },
          { subresource: "status" },
        );
      },
    });
  },
};
