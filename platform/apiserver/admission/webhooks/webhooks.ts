/**
 * MutatingAdmissionWebhook and ValidatingAdmissionWebhook. Mutating webhooks are asked one after the other, each about what the one before it
 * made; validating ones all at once. (apiserver's admission/plugin/webhook/mutating and validating dispatchers)
 */

import { deepEqual } from "#platform/base/equal.ts";
import { type Log, messageOf } from "#platform/base/log.ts";
import type { Store } from "#platform/store/port.ts";
import type { MutatingWebhook } from "#sdk/api/generated/types.ts";
import type { DynamicObject, JsonObject } from "#sdk/api/object.ts";
import { internal, StatusError, timeout } from "#sdk/api/status.ts";
import { jsonPatch, parseJsonPatch } from "../../apply/json-patch.ts";
import type { Authorizer } from "../../authz/authorizer.ts";
import type { AdmissionAttributes } from "../../registry/admission.ts";
import type { WebhookClient } from "../../webhook/client.ts";
import { conditionsAllow, Evaluation } from "../expressions.ts";
import { isExempt, matchRequest, readNamespace, type ServedVersion, type Versions, type VersionsOf } from "../match.ts";
import { Mirror } from "../mirror.ts";
import type { MutationSession, SessionPart } from "../session.ts";
import { callHook, type Hook, hooksOf, WebhookCallFailed } from "./call.ts";
import { admissionRequest, type ReviewAnswer } from "./review.ts";

export interface WebhookParts {
  store: Store;
  versions: VersionsOf;
  authorizer: Authorizer;
  client: WebhookClient;
  log: Log;
}

const GROUP = "admissionregistration.k8s.io";

export class Webhooks {
  readonly #parts: WebhookParts;
  readonly #mutating: Mirror<Hook[]>;
  readonly #validating: Mirror<Hook[]>;

  constructor(parts: WebhookParts) {
    this.#parts = parts;
    const { store, log } = parts;
    const make = hooksOf;
    const mirror = (kind: string) => new Mirror({ store, log, make, resource: `${kind}.${GROUP}` });
    this.#mutating = mirror("mutatingwebhookconfigurations");
    this.#validating = mirror("validatingwebhookconfigurations");
  }

  /** Resolves when the configurations that are there have been read. */
  async start(signal: AbortSignal): Promise<void> {
    await Promise.all([this.#mutating.start(signal), this.#validating.start(signal)]);
  }

  /** The object to go on with. Throws StatusError when a webhook refuses or fails closed. */
  async mutate(a: AdmissionAttributes, session: MutationSession): Promise<DynamicObject | undefined> {
    const hooks = this.#mutating.list(a.tenant).flat();
    if (hooks.length === 0 || isExempt(a)) return a.object;
    const round = new MutatingRound(this.#parts, a, session);
    for (const [index, hook] of hooks.entries()) await round.ask(hook, index);
    return await round.result();
  }

  async validate(a: AdmissionAttributes): Promise<void> {
    const hooks = this.#validating.list(a.tenant).flat();
    if (hooks.length === 0 || isExempt(a)) return;
    const asked: { hook: Hook; version: ServedVersion }[] = [];
    for (const hook of hooks) {
      const version = await matchRequest(hook.matching, a, this.#parts.versions(a.tenant), this.#parts.store);
      if (version && (await holds(this.#parts, hook, a, version, a.object))) asked.push({ hook, version });
    }
    const results = await Promise.allSettled(
      asked.map((one, index) => this.#validateOne(a, one.hook, one.version, index)),
    );
    for (const result of results) if (result.status === "rejected") throw result.reason;
  }

  async #validateOne(a: AdmissionAttributes, hook: Hook, version: ServedVersion, index: number): Promise<void> {
    const { client, log } = this.#parts;
    try {
      const [object, oldObject] = await inVersion(this.#parts.versions(a.tenant), a, version, a.object, a.oldObject);
      await callHook({ hook, attributes: a, version, object, oldObject, mutating: false, client });
    } catch (error) {
      const key = `failed-open.validating.webhook.admission.k8s.io/round_0_index_${index}`;
      failOpen(error, hook, a, key, log);
    }
  }
}

/** Returns where the failure is ignored; throws it otherwise. */
function failOpen(error: unknown, hook: Hook, a: AdmissionAttributes, key: string, log: Log): void {
  if (!(error instanceof WebhookCallFailed)) throw error;
  if (hook.webhook.failurePolicy !== "Ignore") throw internal(error.message);
  log.warn("a webhook failed and was ignored", { webhook: hook.webhook.name, error: error.message });
  a.annotate?.(key, hook.webhook.name);
  if (a.signal?.aborted) throw timeout("request did not complete within requested timeout");
}

async function inVersion(
  versions: Versions,
  a: AdmissionAttributes,
  { resource }: ServedVersion,
  ...objects: (DynamicObject | undefined)[]
): Promise<(DynamicObject | undefined)[]> {
  return await Promise.all(objects.map((object) => object && versions.convert(object, a.resource, resource)));
}

async function holds(
  { store, versions, authorizer }: WebhookParts,
  hook: Hook,
  a: AdmissionAttributes,
  version: ServedVersion,
  current: DynamicObject | undefined,
): Promise<boolean> {
  if (hook.conditions.length === 0) return true;
  const [object, oldObject] = await inVersion(versions(a.tenant), a, version, current, a.oldObject);
  const request = admissionRequest(a, version, "", undefined, undefined);
  const namespaceObject = await readNamespace(store, a);
  const evaluation = new Evaluation({ object, oldObject, request, namespaceObject }, a, authorizer);
  return await conditionsAllow(hook.conditions, evaluation, a, hook.webhook.failurePolicy);
}

/** One pass over the mutating webhooks for one request. */
class MutatingRound {
  readonly #parts: WebhookParts;
  readonly #a: AdmissionAttributes;
  readonly #isReinvocation: boolean;
  readonly #session: SessionPart;
  /** In the request's own version. */
  #object: DynamicObject | undefined;

  constructor(parts: WebhookParts, a: AdmissionAttributes, session: MutationSession) {
    this.#parts = parts;
    this.#a = a;
    this.#isReinvocation = session.isReinvocation;
    this.#session = session.of("webhooks");
    this.#object = a.object;
    this.#session.begin(a.object);
  }

  async ask(hook: Hook, index: number): Promise<void> {
    const { store, client, log } = this.#parts;
    const a = { ...this.#a, object: this.#object };
    const versions = this.#parts.versions(a.tenant);
    const version = await matchRequest(hook.matching, a, versions, store);
    if (!version || !(await holds(this.#parts, hook, a, version, a.object))) return;
    const session = this.#session;
    if (this.#isReinvocation && !session.mustReinvoke(hook.id)) return;
    const place = `round_${this.#isReinvocation ? 1 : 0}_index_${index}`;
    const where = { configuration: hook.configuration, webhook: hook.webhook.name };
    let changed = false;
    try {
      const [object, oldObject] = await inVersion(versions, a, version, a.object, a.oldObject);
      const answer = await callHook({ hook, attributes: a, version, object, oldObject, mutating: true, client });
      const patched = applyAnswer(hook, answer, object, versions, version);
      if (patched && object) {
        a.annotate?.(
          `patch.webhook.admission.k8s.io/${place}`,
          JSON.stringify({ ...where, patch: JSON.parse(answer.patch) as unknown, patchType: answer.patchType }),
        );
        changed = !deepEqual(object as unknown as JsonObject, patched as unknown as JsonObject);
        this.#object = await versions.convert(patched, version.resource, a.resource);
      }
    } catch (error) {
      failOpen(error, hook, a, `failed-open.mutation.webhook.admission.k8s.io/${place}`, log);
    } finally {
      a.annotate?.(`mutation.webhook.admission.k8s.io/${place}`, JSON.stringify({ ...where, mutated: changed }));
    }
    if (changed) session.changed();
    if ((hook.webhook as MutatingWebhook).reinvocationPolicy === "IfNeeded") session.asked(hook.id);
  }

  async result(): Promise<DynamicObject | undefined> {
    this.#session.end(this.#object);
    return this.#object;
  }
}

/** The patched object with its defaults; undefined where the webhook changed nothing. */
function applyAnswer(
  { webhook }: Hook,
  { patch, patchType }: ReviewAnswer,
  object: DynamicObject | undefined,
  versions: Versions,
  version: ServedVersion,
): DynamicObject | undefined {
  if (patch === "") return undefined;
  let operations: ReturnType<typeof parseJsonPatch>;
  try {
    operations = parseJsonPatch(JSON.parse(patch));
  } catch (error) {
    throw new WebhookCallFailed(webhook.name, `received undecodable patch in webhook response: ${messageOf(error)}`);
  }
  if (operations.length === 0) return undefined;
  const name = JSON.stringify(webhook.name);
  if (!object) {
    throw internal(
      `admission webhook ${name} attempted to modify the object, which is not supported for this operation`,
    );
  }
  if (patchType !== "JSONPatch")
    throw new WebhookCallFailed(webhook.name, `unsupported patch type ${JSON.stringify(patchType)}`);
  let patched: DynamicObject;
  try {
    patched = jsonPatch(object as unknown as JsonObject, operations) as unknown as DynamicObject;
    patched = versions.typed(version.kind, patched);
  } catch (error) {
    throw internal(error instanceof StatusError ? error.message : messageOf(error));
  }
  versions.applyDefaults(version.resource, patched);
  return patched;
}
