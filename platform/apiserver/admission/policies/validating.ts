/** ValidatingAdmissionPolicy: what its expressions decide about a request (apiserver's policy/validating dispatcher and validator). */
import type { Log } from "#platform/base/log.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import { forbidden, StatusError } from "#sdk/api/status.ts";
import type { AdmissionAttributes } from "../../registry/admission.ts";
import { conditionsHold, Evaluation, ExpressionError } from "../expressions.ts";
import { isExempt, readNamespace } from "../match.ts";
import { Mirror } from "../mirror.ts";
import { admissionRequest } from "../webhooks/review.ts";
import { type Binding, bindingOf, type CompiledValidation, compilePolicy, type Policy } from "./policy.ts";
import { type Invocation, invocationsOf, type PolicyParts } from "./select.ts";

const GROUP = "admissionregistration.k8s.io";
const MESSAGE_LENGTH_MAX = 5 * 1024;
const ANNOTATION_LENGTH_MAX = 10 * 1024;
const CODES: Readonly<Record<string, number>> = {
  Unauthorized: 401,
  Forbidden: 403,
  Invalid: 422,
  RequestEntityTooLarge: 413,
};

interface Denial {
  message: string;
  reason: string;
  /** Place among the policy's validations. */
  index: number;
}

export class ValidatingPolicies {
  readonly #parts: PolicyParts;
  readonly #policies: Mirror<Policy>;
  readonly #bindings: Mirror<Binding>;

  constructor(parts: PolicyParts & { log: Log }) {
    this.#parts = parts;
    const { store, log } = parts;
    this.#policies = new Mirror({ store, log, make: compilePolicy, resource: `validatingadmissionpolicies.${GROUP}` });
    this.#bindings = new Mirror({
      store,
      log,
      make: bindingOf,
      resource: `validatingadmissionpolicybindings.${GROUP}`,
    });
  }

  async start(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#policies.start(signal), this.#bindings.start(signal)]);
  }

  /** Policies validate only: nothing is changed here. */
  async mutate(a: AdmissionAttributes): Promise<DynamicObject | undefined> {
    return a.object;
  }

  async validate(a: AdmissionAttributes): Promise<void> {
    const policies = this.#policies.list(a.tenant);
    if (policies.length === 0 || isExempt(a)) return;
    const invocations = await invocationsOf(policies, this.#bindings.list(a.tenant), a, this.#parts);
    let refusal: StatusError | undefined;
    const annotations = new Map<string, string[]>();
    for (const invocation of invocations) {
      for (const denial of await this.#evaluate(invocation, a, annotations)) {
        refusal ??= this.#act(invocation, denial, a);
      }
    }
    for (const [key, values] of annotations) a.annotate?.(key, values.join(", "));
    if (refusal) throw refusal;
  }

  async #evaluate(
    { policy, version, params, error }: Invocation,
    a: AdmissionAttributes,
    annotations: Map<string, string[]>,
  ): Promise<Denial[]> {
    const failing = policy.spec.failurePolicy !== "Ignore";
    const failed = (message: string, index: number): Denial[] =>
      failing ? [{ message, reason: "Invalid", index }] : [];
    if (error !== undefined) return failed(error, -1);
    const { store, authorizer } = this.#parts;
    const versions = this.#parts.versions(a.tenant);
    const [object, oldObject] = await Promise.all(
      [a.object, a.oldObject].map((o) => o && versions.convert(o, a.resource, version.resource)),
    );
    const request = admissionRequest(a, version, "", undefined, undefined);
    const namespaceObject =
      a.kind.kind === "Namespace" && a.kind.group === "" ? undefined : await readNamespace(store, a);
    const denials: Denial[] = [];
    for (const param of params) {
      const variables = { object, oldObject, request, params: param, namespaceObject };
      const evaluation = new Evaluation(variables, a, authorizer, policy.variables);
      try {
        if (!(await conditionsHold(policy.conditions, evaluation, policy.spec.failurePolicy))) continue;
      } catch (thrown) {
        denials.push(...failed(textOf(thrown), 0));
        continue;
      }
      for (const [index, validation] of policy.validations.entries()) {
        try {
          if ((await evaluation.evaluate(validation.expression)) === true) continue;
          const { reason } = validation.validation;
          denials.push({ message: await messageOf(validation, evaluation), reason: reason || "Invalid", index });
        } catch (thrown) {
          denials.push(...failed(textOf(thrown), index));
        }
      }
      denials.push(...(await annotate(policy, evaluation, annotations)).flatMap((message) => failed(message, -1)));
    }
    return denials;
  }

  /** The refusal where the binding says Deny; warnings and audit annotations where it says so. */
  #act({ policy, binding }: Invocation, denial: Denial, a: AdmissionAttributes): StatusError | undefined {
    const { message } = denial;
    const refuses = !binding || denial.index < 0 || binding.actions.includes("Deny");
    if (binding && denial.index >= 0) {
      if (binding.actions.includes("Warn"))
        a.warn?.(
          `Validation failed for ValidatingAdmissionPolicy '${policy.name}' with binding '${binding.name}': ${message}`,
        );
      if (binding.actions.includes("Audit")) a.annotate?.(FAILURE_KEY, failureText(policy, binding, denial));
    }
    if (!refuses) return undefined;
    const by = binding ? `'${policy.name}' with binding '${binding.name}'` : `'${policy.name}'`;
    const text = `ValidatingAdmissionPolicy ${by} denied request: ${message}`;
    const { status } = forbidden(a.resource, a.name, text);
    const details = { ...status.details, causes: [{ message: text }] };
    return new StatusError(CODES[denial.reason] ?? 422, denial.reason, status.message ?? text, details);
  }
}

const FAILURE_KEY = "validation.policy.admission.k8s.io/validation_failure";

const failureText = (policy: Policy, binding: Binding, { message, index }: Denial): string =>
  JSON.stringify([
    { message, policy: policy.name, binding: binding.name, expressionIndex: index, validationActions: binding.actions },
  ]);

const textOf = (error: unknown): string => {
  if (error instanceof ExpressionError) return error.message;
  throw error;
};

async function messageOf({ validation, message }: CompiledValidation, evaluation: Evaluation): Promise<string> {
  let text = "";
  if (message) {
    try {
      const value = await evaluation.evaluate(message);
      if (typeof value === "string") text = value.trim();
    } catch (error) {
      // A message that cannot be made is no reason not to refuse: the plain one stands.
      textOf(error);
    }
    if (text.length > MESSAGE_LENGTH_MAX || text.includes("\n")) text = "";
  }
  return text || validation.message?.trim() || `failed expression: ${validation.expression.trim()}`;
}

/** Collects what is to be published; returns the errors. */
async function annotate(policy: Policy, evaluation: Evaluation, annotations: Map<string, string[]>): Promise<string[]> {
  const errors: string[] = [];
  for (const { key, expression } of policy.annotations) {
    try {
      const value = await evaluation.evaluate(expression);
      const text = typeof value === "string" ? value.trim().slice(0, ANNOTATION_LENGTH_MAX) : "";
      if (text === "") continue;
      const name = `${policy.name}/${key}`;
      const present = annotations.get(name) ?? [];
      if (!present.includes(text)) annotations.set(name, [...present, text]);
    } catch (error) {
      errors.push(textOf(error));
    }
  }
  return errors;
}
