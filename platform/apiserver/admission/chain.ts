/**
 * The admission chain: the server's own rules first, then components through the port that the plugin host fills. Mutating rules run in the
 * order of the list, validating ones on what all of them made.
 */
import type { TenantId } from "#platform/store/port.ts";
import type { DynamicObject, JsonObject } from "#sdk/api/object.ts";
import type { Admission, AdmissionAttributes } from "../registry/admission.ts";
import { MutationSession } from "./session.ts";

/** A rule of the server itself. It changes `attributes.object` in place or throws StatusError. */
export interface AdmissionRule {
  mutate?(attributes: AdmissionAttributes & { object: DynamicObject }): Promise<void>;
  validate?(attributes: AdmissionAttributes): Promise<void>;
}

/** One admission component that wants to see these attributes. Failures and deadlines follow the plugin's failure policy inside. */
export interface AdmissionHook {
  name: string;
  /** The object to go on with; undefined when it changes nothing. Denials throw StatusError. */
  mutate?(attributes: AdmissionAttributes): Promise<{ object?: DynamicObject; warnings: string[] }>;
  validate?(attributes: AdmissionAttributes): Promise<{ warnings: string[] }>;
}

/** The components installed for a tenant (root's own see every tenant), in their order. Filled by platform/plugin-host. */
export interface ComponentAdmission {
  hooks(
    tenant: TenantId,
    attributes: AdmissionAttributes,
  ): readonly AdmissionHook[] | Promise<readonly AdmissionHook[]>;
}

export const noComponents: ComponentAdmission = { hooks: () => [] };

/** Webhooks and policies: what the tenant's own objects configure. They see what rules and components made. */
export interface ConfiguredAdmission {
  /** The object to go on with; denials throw StatusError. */
  mutate(attributes: AdmissionAttributes, session: MutationSession): Promise<DynamicObject | undefined>;
  validate(attributes: AdmissionAttributes): Promise<void>;
}

export function admissionChain(
  rules: readonly AdmissionRule[],
  components: ComponentAdmission,
  configured: readonly ConfiguredAdmission[] = [],
): Admission {
  const mutating = rules.flatMap((rule) => (rule.mutate ? [rule.mutate.bind(rule)] : []));
  const validating = rules.flatMap((rule) => (rule.validate ? [rule.validate.bind(rule)] : []));

  async function builtIn(attributes: AdmissionAttributes, warnings: string[]): Promise<DynamicObject | undefined> {
    let { object } = attributes;
    if (!object) return undefined;
    const shown = { ...attributes, object };
    for (const mutate of mutating) await mutate(shown);
    for (const hook of await components.hooks(attributes.tenant, attributes)) {
      const result: Awaited<ReturnType<NonNullable<AdmissionHook["mutate"]>>> | undefined = await hook.mutate?.({
        ...attributes,
        object,
      });
      if (!result) continue;
      warnings.push(...result.warnings);
      object = result.object ?? object;
    }
    return object;
  }

  async function pass(attributes: AdmissionAttributes, session: MutationSession, warnings: string[]) {
    let object = await builtIn(attributes, warnings);
    for (const each of configured) object = await each.mutate({ ...attributes, object }, session);
    return object;
  }

  return {
    async mutate(attributes) {
      const warnings: string[] = [];
      const session = new MutationSession();
      let object = await pass(attributes, session, warnings);
      if (session.wantsReinvocation) {
        session.isReinvocation = true;
        object = await pass({ ...attributes, object }, session, []);
      }
      return { object, warnings };
    },
    async validate(attributes) {
      const warnings: string[] = [];
      for (const validate of validating) await validate(attributes);
      for (const hook of await components.hooks(attributes.tenant, attributes)) {
        const result = await hook.validate?.(attributes);
        if (result) warnings.push(...result.warnings);
      }
      for (const each of configured) await each.validate(attributes);
      return { warnings };
    },
  };
}

/** A JSON object seen as rules see it; for rules that read nested fields without knowing the kind. */
export const asJson = (object: DynamicObject | undefined): JsonObject =>
  (object ?? { metadata: {} }) as unknown as JsonObject;
