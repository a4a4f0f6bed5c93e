/** MutatingAdmissionPolicy: what its expressions make of an object (apiserver's policy/mutating). */

import { deepEqual } from "#platform/base/equal.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import { toJson } from "#platform/rules/cel/index.ts";
import type { DynamicObject, GroupVersionKind, JsonObject } from "#sdk/api/object.ts";
import { forbidden, StatusError } from "#sdk/api/status.ts";
import { type JsonPatchOperation, jsonPatch, parseJsonPatch } from "../../apply/json-patch.ts";
import type { AdmissionAttributes } from "../../registry/admission.ts";
import { conditionsHold, Evaluation, ExpressionError } from "../expressions.ts";
import { isExempt, readNamespace, type Versions } from "../match.ts";
import { Mirror } from "../mirror.ts";
import type { MutationSession } from "../session.ts";
import { admissionRequest } from "../webhooks/review.ts";
import { mergeConfiguration } from "./merge.ts";
import { type Binding, bindingOf, type CompiledMutation, compilePolicy, type Policy } from "./policy.ts";
import { type Invocation, invocationsOf, type PolicyParts } from "./select.ts";

const GROUP = "admissionregistration.k8s.io";

export class MutatingPolicies {
  readonly #parts: PolicyParts;
  readonly #policies: Mirror<Policy>;
  readonly #bindings: Mirror<Binding>;

  constructor(parts: PolicyParts & { log: Log }) {
    this.#parts = parts;
    const { store, log } = parts;
    this.#policies = new Mirror({ store, log, make: compilePolicy, resource: `mutatingadmissionpolicies.${GROUP}` });
    this.#bindings = new Mirror({ store, log, make: bindingOf, resource: `mutatingadmissionpolicybindings.${GROUP}` });
  }

  async start(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#policies.start(signal), this.#bindings.start(signal)]);
  }

  async validate(): Promise<void> {
    // Policies of this kind only change objects.
  }

  async mutate(a: AdmissionAttributes, session: MutationSession): Promise<DynamicObject | undefined> {
    const policies = this.#policies.list(a.tenant);
    if (policies.length === 0 || isExempt(a)) return a.object;
    const invocations = await invocationsOf(policies, this.#bindings.list(a.tenant), a, this.#parts);
    if (invocations.length === 0) return a.object;
    const own = session.of("policies");
    own.begin(a.object);
    let { object } = a;
    const errors: string[] = [];
    for (const invocation of invocations) {
      for (const param of invocation.error === undefined ? invocation.params : [undefined]) {
        const id = `${invocation.policy.name}/${invocation.binding?.name}/${param?.metadata.namespace}/${param?.metadata.name}`;
        const result = await this.#invoke(
          invocation,
          param,
          { ...a, object },
          () => !session.isReinvocation || own.mustReinvoke(id),
        );
        errors.push(...result.errors);
        if (result.object && object && !deepEqual(plain(result.object), plain(object))) own.changed();
        if (result.asked && invocation.policy.spec.reinvocationPolicy === "IfNeeded") own.asked(id);
        object = result.object;
      }
    }
    own.end(object);
    if (errors.length > 0) throw refusal(a, errors);
    return object;
  }

  async #invoke(
    { policy, binding, version, error }: Invocation,
    params: DynamicObject | undefined,
    a: AdmissionAttributes,
    mayRun: () => boolean,
  ): Promise<{ object: DynamicObject | undefined; errors: string[]; asked: boolean }> {
    const { store, authorizer } = this.#parts;
    const versions = this.#parts.versions(a.tenant);
    const by = binding ? `'${policy.name}' with binding '${binding.name}'` : `'${policy.name}'`;
    const failed = (why: string): string[] =>
      policy.spec.failurePolicy === "Ignore" ? [] : [`policy ${by} denied request: ${why}`];
    if (error !== undefined) return { object: a.object, errors: failed(error), asked: false };
    if (!a.object) return { object: undefined, errors: [], asked: false };
    const isNamespace = a.kind.kind === "Namespace" && a.kind.group === "";
    const namespaceObject = isNamespace ? undefined : await readNamespace(store, a);
    const request = admissionRequest(a, version, "", undefined, undefined);
    const oldObject = a.oldObject && (await versions.convert(a.oldObject, a.resource, version.resource));
    let object = await versions.convert(a.object, a.resource, version.resource);
    const evaluation = () =>
      new Evaluation({ object, oldObject, request, params, namespaceObject }, a, authorizer, policy.variables);
    const errors: string[] = [];
    try {
      const holds = await conditionsHold(policy.conditions, evaluation(), policy.spec.failurePolicy);
      if (!holds || !mayRun()) return { object: a.object, errors: [], asked: false };
      for (const mutation of policy.mutations) {
        const value = toJson(await evaluation().evaluate(mutation.expression));
        object = typed(versions, version.kind, applyMutation(mutation, value, object, version.kind));
        versions.applyDefaults(version.resource, object);
      }
    } catch (thrown) {
      if (!(thrown instanceof ExpressionError)) throw thrown;
      errors.push(...failed(thrown.message));
    }
    return { object: await versions.convert(object, version.resource, a.resource), errors, asked: true };
  }
}

/** Throws ExpressionError for what is no object of its kind. */
function typed(versions: Versions, kind: GroupVersionKind, object: DynamicObject): DynamicObject {
  try {
    return versions.typed(kind, object);
  } catch (error) {
    throw new ExpressionError(messageOf(error));
  }
}

const plain = (object: DynamicObject): JsonObject => object as unknown as JsonObject;

/** Throws ExpressionError for a result that cannot be applied. */
function applyMutation(
  { type }: CompiledMutation,
  value: unknown,
  object: DynamicObject,
  kind: Parameters<typeof mergeConfiguration>[0],
): DynamicObject {
  if (type === "ApplyConfiguration") {
    if (typeof value !== "object" || value === null || Array.isArray(value))
      throw new ExpressionError("type mismatch: applyConfiguration.expression should evaluate to an Object");
    return mergeConfiguration(kind, object, value as JsonObject);
  }
  if (!Array.isArray(value))
    throw new ExpressionError("type mismatch: JSONPatchType.expression should evaluate to array");
  const operations = parseJsonPatch(value);
  try {
    return jsonPatch(plain(object), operations) as unknown as DynamicObject;
  } catch (error) {
    if (!(error instanceof StatusError)) throw error;
    // A test that does not hold means: not this object.
    if (testFails(plain(object), operations)) return object;
    throw new ExpressionError(`JSON Patch: ${error.message}`);
  }
}

/** The first operation that does not apply is a test. */
function testFails(object: JsonObject, operations: readonly JsonPatchOperation[]): boolean {
  let at = object;
  for (const operation of operations) {
    try {
      at = jsonPatch(at, [operation]);
    } catch {
      return operation.op === "test";
    }
  }
  return false;
}

function refusal(a: AdmissionAttributes, messages: readonly string[]): StatusError {
  const { status } = forbidden(a.resource, a.name, "admission request denied by policy");
  const details = { ...status.details, causes: messages.map((message) => ({ message })) };
  return new StatusError(status.code ?? 403, "Invalid", messages[0] ?? "", details);
}
