/** Service accounts and their tokens (the token subresource, KEP-1205). */

import { timeText } from "#platform/base/clock.ts";
import { ROOT_TENANT } from "#platform/store/port.ts";
import type { Pod, ServiceAccount, TokenRequest } from "#sdk/api/generated/types.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { badRequest, conflict, invalid } from "#sdk/api/status.ts";
import {
  ISSUER,
  issueToken,
  type ObjectReference,
  type TokenKeys,
  type TokenSubject,
} from "../../../authn/serviceAccounts.ts";
import { invalidValue } from "../../../registry/causes.ts";
import { genericStrategy } from "../../../registry/generic.ts";
import type { ActionRequest, ActionStrategy, Strategy } from "../../../registry/strategy.ts";
import { as } from "../../as.ts";

const SECONDS_MIN = 600;
const SECONDS_MAX = 2 ** 32;
/** Tokens of pods ask for an hour and live a year, so that old clients that never read them again keep working. */
const EXTENDED_SECONDS = 365 * 24 * 3600;
const WARN_AFTER_SECONDS = 3607;

const KIND = { group: "authentication.k8s.io", kind: "TokenRequest" };

async function boundTo(request: ActionRequest, body: TokenRequest, account: string): Promise<Partial<TokenSubject>> {
  const ref = body.spec?.boundObjectRef;
  if (!ref) return {};
  const { context, registry, namespace } = request;
  const resources: Record<string, string> = { Pod: "pods", Secret: "secrets", Node: "nodes" };
  const resource = resources[ref.kind ?? ""];
  if (!resource || (ref.apiVersion ?? "v1") !== "v1") {
    throw badRequest(`cannot bind token to object of type ${ref.apiVersion ?? ""}, Kind=${ref.kind ?? ""}`);
  }
  const home = resource === "nodes" ? { ...context, tenant: ROOT_TENANT } : context;
  const object = await registry.read(home, "", resource, resource === "nodes" ? "" : namespace, ref.name ?? "");
  const uid = object.metadata.uid ?? "";
  if (ref.uid && ref.uid !== uid) {
    throw conflict(
      { group: "", resource },
      ref.name ?? "",
      `the UID in the bound object reference (${ref.uid}) does not match the UID in record. The object might have been deleted and then recreated`,
    );
  }
  const reference: ObjectReference = { name: ref.name ?? "", uid };
  if (resource === "nodes") return { node: reference };
  if (resource === "secrets") return { secret: reference };
  const pod = as<Pod>(object);
  if (pod.spec?.serviceAccountName !== account) {
    throw badRequest(
      `cannot bind token for serviceaccount "${account}" to pod running with different serviceaccount name.`,
    );
  }
  const { nodeName } = pod.spec;
  if (!nodeName) return { pod: reference };
  const node = await registry
    .read({ ...context, tenant: ROOT_TENANT }, "", "nodes", "", nodeName)
    .catch(() => undefined);
  return { pod: reference, node: { name: nodeName, uid: node?.metadata.uid ?? "" } };
}

function tokenAction(keys: TokenKeys): ActionStrategy {
  return {
    code: 201,
    async handle(request) {
      const body = as<TokenRequest>(request.body ?? { metadata: {} });
      const { context, registry, namespace, name } = request;
      const account = await registry.read(context, "", "serviceaccounts", namespace, name);
      const { uid = "" } = account.metadata;
      const asked = body.metadata?.uid;
      if (asked && asked !== uid)
        throw conflict(
          { group: KIND.group, resource: KIND.kind },
          name,
          `the UID in the token request (${asked}) does not match the UID of the service account (${uid})`,
        );
      const seconds = body.spec?.expirationSeconds ?? 3600;
      if (seconds < SECONDS_MIN)
        throw invalid(KIND, name, [
          invalidValue("spec.expirationSeconds", seconds, "may not specify a duration less than 10 minutes"),
        ]);
      if (seconds > SECONDS_MAX)
        throw invalid(KIND, name, [
          invalidValue("spec.expirationSeconds", seconds, "may not specify a duration larger than 2^32 seconds"),
        ]);
      const bound = await boundTo(request, body, name);
      const audiences = body.spec?.audiences?.length ? body.spec.audiences : [ISSUER];
      const extends_ = bound.pod !== undefined && seconds === WARN_AFTER_SECONDS && audiences.includes(ISSUER);
      const { token, expiresAt } = issueToken(
        keys(context.tenant),
        { tenant: context.tenant, namespace, serviceAccount: { name, uid }, ...bound },
        {
          audiences,
          now: context.now,
          seconds: extends_ ? EXTENDED_SECONDS : seconds,
          ...(extends_ ? { warnAfterSeconds: WARN_AFTER_SECONDS } : {}),
        },
      );
      // The client is told the time it asked for, so that it refreshes in time.
      const shown = extends_ ? Math.floor(context.now / 1000) + seconds : expiresAt;
      return {
        kind: "TokenRequest",
        apiVersion: "authentication.k8s.io/v1",
        metadata: {
          ...body.metadata,
          name,
          namespace,
          uid,
          creationTimestamp: timeText(context.now),
        },
        spec: {
          ...body.spec,
          audiences,
          expirationSeconds: seconds,
          boundObjectRef: body.spec?.boundObjectRef ?? null,
        },
        status: { token, expirationTimestamp: timeText(shown * 1000) },
      };
    },
  };
}

/** Of the secrets that an account may use only the names count. */
function cleanReferences(account: ServiceAccount): void {
  account.secrets = account.secrets?.map(({ name }) => (name === undefined ? {} : { name }));
}

export const serviceAccountStrategy =
  (keys: TokenKeys) =>
  (facts: ResourceFacts): Strategy =>
    genericStrategy(facts, {
      returnsDeletedObject: true,
      prepareForCreate: (object) => cleanReferences(as<ServiceAccount>(object)),
      prepareForUpdate: (next) => cleanReferences(as<ServiceAccount>(next)),
      actions: { token: tokenAction(keys) },
    });
