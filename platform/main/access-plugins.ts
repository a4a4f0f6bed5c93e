/** Components as authenticators and authorizers of the API server. They are root's, and so are the users they know. */
import type { Authenticator } from "#platform/apiserver/authn/authenticator.ts";
import type { Authorizer, Decision } from "#platform/apiserver/authz/authorizer.ts";
import { noRules } from "#platform/apiserver/authz/authorizer.ts";
import type { AccessPlugins } from "#platform/plugin-host/worlds/v1/access.ts";
import { ROOT_TENANT } from "#platform/store/port.ts";
import type { TenantDirectory } from "#platform/store/tenants.ts";
import { unauthorized } from "#sdk/api/status.ts";

const VERDICTS = { "no-opinion": "noOpinion", allow: "allow", deny: "deny" } as const;
/** A request that comes before the components are loaded waits so long for them. */
const LOADED_MS_MAX = 10_000;

export function componentAuthenticator(plugins: AccessPlugins): Authenticator {
  return {
    async authenticate({ bearer }) {
      if (!bearer) return undefined;
      const user = await plugins.authenticate(bearer);
      if (user === undefined) return undefined;
      if (user === "refused") throw unauthorized();
      const { name, uid, groups, extra } = user;
      return {
        tenant: ROOT_TENANT,
        name,
        ...(uid ? { uid } : {}),
        groups,
        ...(extra.length > 0 ? { extra: Object.fromEntries(extra) } : {}),
      };
    },
  };
}

/** `loaded` resolves when the components that are there now serve: until then nobody knows what one of them would deny. */
export function componentAuthorizer(
  plugins: AccessPlugins,
  tenants: TenantDirectory,
  loaded: Promise<void>,
): Authorizer {
  let late = false;
  const ready = Promise.race([
    loaded,
    new Promise<void>((resolve) => setTimeout(resolve, LOADED_MS_MAX).unref()).then(() => {
      late = true;
    }),
  ]);
  void loaded.then(
    () => {
      late = false;
    },
    () => undefined,
  );
  const nameOf = (tenant: number | "*") => (tenant === "*" ? "*" : (tenants.byId(tenant)?.name ?? ""));
  return {
    rulesFor: () => noRules("authorizer plugins do not support user rule resolution"),
    async authorize(a): Promise<Decision> {
      await ready.catch(() => undefined);
      if (late) return { decision: "noOpinion", reason: "", error: "the authorizer plugins are not loaded" };
      const { group = "", version = "", resource = "", subresource = "", namespace = "", name = "" } = a.resource ?? {};
      const { tenant: userTenant, ...user } = a.user;
      const { verdict, reason, error } = await plugins.authorize({
        tenant: nameOf(a.tenant),
        userTenant: nameOf(userTenant),
        user: JSON.stringify(user),
        verb: a.verb,
        group,
        version,
        resource,
        subresource,
        namespace,
        name,
        path: a.path ?? "",
        fieldSelector: a.fieldSelector ?? "",
        labelSelector: a.labelSelector ?? "",
      });
      return { decision: VERDICTS[verdict], reason, ...(error ? { error } : {}) };
    },
  };
}
