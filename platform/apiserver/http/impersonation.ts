/**
 * Acting as somebody else (Impersonate-User and its companions). Constrained impersonation (KEP-5284) is looked at first: who acts needs a verb on
 * whom they act as, and another on what they do so; then the verb `impersonate`, which allows everything that the other may do.
 */

import { ROOT_TENANT, type TenantId } from "#platform/store/port.ts";
import { isDNS1123Subdomain } from "#sdk/api/names.ts";
import { PLUGIN_USER_PREFIX, TENANT_PLUGIN_USER_PREFIX } from "#sdk/api/object.ts";
import { badRequest, isReason, StatusError } from "#sdk/api/status.ts";
import { ANONYMOUS, AUTHENTICATED, UNAUTHENTICATED } from "../authn/authenticator.ts";
import { type AuthorizationAttributes, denial } from "../authz/authorizer.ts";
import type { UserInfo } from "../registry/admission.ts";

export interface Wanted {
  name: string;
  uid: string;
  groups: string[];
  extra: Record<string, string[]>;
}

export interface Impersonated {
  user: UserInfo;
  /** The verb that allowed it, of constrained impersonation. */
  constraint?: string;
}

export interface ImpersonationRequest {
  /** Who asks. */
  user: UserInfo;
  wanted: Wanted;
  /** The tenant that is asked. */
  tenant: TenantId | "*";
  /** What is asked, by the one who asks. */
  attributes: AuthorizationAttributes;
  /** The feature gate ConstrainedImpersonation. */
  constrained: boolean;
  /** Throws StatusError 403 with the denial. */
  authorize(attributes: AuthorizationAttributes): Promise<void>;
}

const AUTHENTICATION = "authentication.k8s.io";
const NODE_NAME = "authentication.kubernetes.io/node-name";
const NODE_KEYS = "authentication.kubernetes.io/associated-node-keys";
const MASTERS = "system:masters";
/** From so many on, the right to all of them is asked for first. */
const MANY = 4;
const LAST_MODES_MAX = 1_000;

const accountOf = (name: string) => {
  const [, namespace = "", account = ""] = /^system:serviceaccount:([^:]+):([^:]+)$/.exec(name) ?? [];
  return account === "" ? undefined : { namespace, name: account };
};
function nodeOf(name: string): string | undefined {
  const node = name.startsWith("system:node:") ? name.slice("system:node:".length) : "";
  return node !== "" && isDNS1123Subdomain(node).length === 0 ? node : undefined;
}

/** What the headers ask for; undefined when nothing. Throws StatusError 400. `raw`: names and values in turn, as they came. */
export function wantedUser(raw: readonly string[]): Wanted | undefined {
  const wanted: Wanted = { name: "", uid: "", groups: [], extra: {} };
  let extras = false;
  for (let i = 0; i + 1 < raw.length; i += 2) {
    const [name, value] = [(raw[i] ?? "").toLowerCase(), raw[i + 1] ?? ""];
    if (!name.startsWith("impersonate-")) continue;
    if (name === "impersonate-user") wanted.name ||= value;
    else if (name === "impersonate-uid") wanted.uid ||= value;
    else if (name === "impersonate-group") wanted.groups.push(value);
    else if (name.startsWith("impersonate-extra-")) {
      extras = true;
      const key = unescaped(name.slice("impersonate-extra-".length));
      wanted.extra[key] = [...(wanted.extra[key] ?? []), value];
    }
  }
  if (wanted.name !== "") return wanted;
  if (wanted.uid !== "" || wanted.groups.length > 0 || extras)
    throw badRequest(`requested ${goText(wanted)} without impersonating a user name`);
  return undefined;
}

function unescaped(key: string): string {
  try {
    return decodeURIComponent(key);
  } catch {
    return key;
  }
}

/** As Go prints the struct. */
function goText({ name, uid, groups, extra }: Wanted): string {
  const text = JSON.stringify;
  const list = (values: string[]) => `[]string{${values.map((v) => text(v)).join(", ")}}`;
  const keys = Object.keys(extra).sort();
  const shown = keys.map((key) => `${text(key)}:${list(extra[key] ?? [])}`).join(", ");
  const map = keys.length > 0 ? `map[string][]string{${shown}}` : "map[string][]string(nil)";
  return `&user.DefaultInfo{Name:${text(name)}, UID:${text(uid)}, Groups:${groups.length > 0 ? list(groups) : "[]string(nil)"}, Extra:${map}}`;
}

interface Mode {
  /** Part of the verbs; undefined: the old way. */
  name: string | undefined;
  fits(wanted: Wanted, user: UserInfo): boolean;
}

const onlyName = ({ uid, groups, extra }: Wanted) =>
  uid === "" && groups.length === 0 && Object.keys(extra).length === 0;

function isAssociated({ name }: Wanted, user: UserInfo): boolean {
  const nodes = user.extra?.[NODE_NAME] ?? [];
  return accountOf(user.name) !== undefined && nodes.length === 1 && nodes[0] === nodeOf(name);
}

const MODES: readonly Mode[] = [
  { name: "associated-node", fits: (wanted, user) => onlyName(wanted) && isAssociated(wanted, user) },
  { name: "arbitrary-node", fits: (wanted) => onlyName(wanted) && nodeOf(wanted.name) !== undefined },
  { name: "serviceaccount", fits: (wanted) => onlyName(wanted) && accountOf(wanted.name) !== undefined },
  {
    name: "user-info",
    fits: ({ name }) => nodeOf(name) === undefined && accountOf(name) === undefined,
  },
  { name: undefined, fits: () => true },
];

/** The mode that let a user act last is tried first: those who act often are asked about once. Bounded. */
const lastModes = new Map<string, Mode>();

/** Throws StatusError 403 with the first mode's denial. */
export async function impersonate(request: ImpersonationRequest): Promise<Impersonated> {
  const { user, attributes } = request;
  const key = `${user.tenant}/${user.name}/${attributes.verb}`;
  const last = lastModes.get(key);
  let refused: StatusError | undefined;
  for (const mode of last ? [last, ...MODES.filter((other) => other !== last)] : MODES) {
    if (!mode.fits(request.wanted, user) || (mode.name !== undefined && !request.constrained)) continue;
    try {
      const acting = await actingBy(mode, request);
      if (lastModes.size >= LAST_MODES_MAX) lastModes.clear();
      lastModes.set(key, mode);
      return acting;
    } catch (error) {
      if (!isReason(error, "Forbidden") || !(error instanceof StatusError)) throw error;
      refused ??= error;
    }
  }
  throw refused ?? denial(attributes);
}

async function actingBy(mode: Mode, request: ImpersonationRequest): Promise<Impersonated> {
  const { wanted, attributes, tenant, authorize } = request;
  const user = mode.name === "associated-node" ? withoutExtra(request.user) : request.user;
  // Who may run plugins is root's to say, in whichever tenant they are called for.
  const isPlugin = [PLUGIN_USER_PREFIX, TENANT_PLUGIN_USER_PREFIX].some((prefix) => wanted.name.startsWith(prefix));
  const judge = user.tenant === ROOT_TENANT && isPlugin ? ROOT_TENANT : tenant;
  if (mode.name !== undefined)
    await authorize({ ...attributes, user, verb: `impersonate-on:${mode.name}:${attributes.verb}` });
  const verb = mode.name === undefined ? "impersonate" : `impersonate:${mode.name}`;
  const asking = new Asking(user, judge, verb, mode, authorize);
  const groups = await asking.name(wanted);
  if (wanted.uid !== "") await asking.check({ group: AUTHENTICATION, resource: "uids", name: wanted.uid });
  await asking.groups(wanted.groups);
  await asking.extra(wanted.extra);
  // Whoever is acted as belongs where the request goes, never to root when another tenant is asked.
  const home = tenant === "*" ? user.tenant : tenant;
  const acting = {
    tenant: home,
    name: wanted.name,
    groups: completed(wanted.name, groups),
    ...(wanted.uid === "" ? {} : { uid: wanted.uid }),
    ...(Object.keys(wanted.extra).length > 0 ? { extra: wanted.extra } : {}),
  };
  return { user: acting, ...(mode.name === undefined ? {} : { constraint: verb }) };
}

/** What tells a service account's pods apart must not matter to what is decided about its node. */
const withoutExtra = (user: UserInfo): UserInfo => ({
  ...user,
  extra: { [NODE_KEYS]: Object.keys(user.extra ?? {}).sort() },
});

function completed(name: string, groups: readonly string[]): string[] {
  if (name === ANONYMOUS.name) return [...new Set([...groups, UNAUTHENTICATED])];
  return groups.includes(UNAUTHENTICATED) ? [...groups] : [...new Set([...groups, AUTHENTICATED])];
}

type Thing = { group: string; resource: string; subresource?: string; namespace?: string; name: string };

/** The questions of one mode. */
class Asking {
  readonly #user: UserInfo;
  readonly #tenant: TenantId | "*";
  readonly #verb: string;
  readonly #mode: Mode;
  readonly #authorize: ImpersonationRequest["authorize"];

  constructor(
    user: UserInfo,
    tenant: TenantId | "*",
    verb: string,
    mode: Mode,
    authorize: ImpersonationRequest["authorize"],
  ) {
    this.#user = user;
    this.#tenant = tenant;
    this.#verb = verb;
    this.#mode = mode;
    this.#authorize = authorize;
  }

  #attributes({ group, resource, subresource = "", namespace = "", name }: Thing): AuthorizationAttributes {
    const what = { group, version: "v1", resource, subresource, namespace, name };
    return { user: this.#user, tenant: this.#tenant, verb: this.#verb, resource: what };
  }

  check(thing: Thing): Promise<void> {
    return this.#authorize(this.#attributes(thing));
  }

  #refuse(thing: Thing, why: string): never {
    throw denial(this.#attributes(thing), why);
  }

  get #constrained(): boolean {
    return this.#mode.name !== undefined;
  }

  get #group(): string {
    return this.#constrained ? AUTHENTICATION : "";
  }

  /** Answers the groups that come with the name, or those wanted. */
  async name({ name, groups }: Wanted): Promise<string[]> {
    const group = this.#group;
    const node = this.#constrained ? nodeOf(name) : undefined;
    if (node !== undefined) {
      // The decision holds for every node that the account may run on.
      await this.check({ group, resource: "nodes", name: this.#mode.name === "associated-node" ? "*" : node });
      return ["system:nodes"];
    }
    const account = accountOf(name);
    if (!account) {
      // Tenants install plugins of any name: one right is for all of theirs.
      const ofTenant = this.#tenant === ROOT_TENANT && name.startsWith(TENANT_PLUGIN_USER_PREFIX);
      await this.check({ group, resource: "users", name: ofTenant ? `${TENANT_PLUGIN_USER_PREFIX}*` : name });
      return groups;
    }
    await this.check({ group, resource: "serviceaccounts", ...account });
    return groups.length > 0 ? groups : ["system:serviceaccounts", `system:serviceaccounts:${account.namespace}`];
  }

  async groups(groups: readonly string[]): Promise<void> {
    const of = (name: string): Thing => ({ group: this.#group, resource: "groups", name });
    if (this.#constrained) {
      if (groups.includes("")) this.#refuse(of(""), "impersonating the empty string group is not allowed");
      if (groups.includes(MASTERS)) this.#refuse(of(MASTERS), "impersonating the system:masters group is not allowed");
      if (groups.length >= MANY && (await this.#allowed(of("*")))) return;
    }
    for (const name of groups) await this.check(of(name));
  }

  async extra(extra: Readonly<Record<string, readonly string[]>>): Promise<void> {
    const of = (subresource: string, name: string): Thing => ({
      group: AUTHENTICATION,
      resource: "userextras",
      subresource,
      name,
    });
    const entries = Object.entries(extra);
    if (this.#constrained) {
      const wrong = wrongExtra(entries);
      if (wrong) this.#refuse(of("", ""), wrong);
      const many = entries.length >= MANY || entries.reduce((sum, [, values]) => sum + values.length, 0) >= MANY;
      if (many && (await this.#allowed(of("*", "*")))) return;
    }
    for (const [key, values] of entries) for (const value of values) await this.check(of(key, value));
  }

  async #allowed(thing: Thing): Promise<boolean> {
    try {
      await this.check(thing);
      return true;
    } catch (error) {
      if (isReason(error, "Forbidden")) return false;
      throw error;
    }
  }
}

function wrongExtra(entries: readonly [string, readonly string[]][]): string | undefined {
  for (const [key, values] of entries) {
    const [domain = "", ...path] = key.split("/");
    if (key === "") return "impersonating the empty string key in extra is not allowed";
    if (path.join("/") === "" || isDNS1123Subdomain(domain).length > 0)
      return `impersonating an invalid key in extra is not allowed: extra.key: Invalid value: ${JSON.stringify(key)}: must be a domain-prefixed path (such as "acme.io/foo")`;
    if (key !== key.toLowerCase())
      return `impersonating a non-lowercase key in extra is not allowed: ${JSON.stringify(key)}`;
    if (values.includes("")) return "impersonating the empty string value in extra is not allowed";
  }
  return undefined;
}
