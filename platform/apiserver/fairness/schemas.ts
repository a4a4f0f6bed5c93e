/** FlowSchemas: which one a request belongs to, and which flow of it. Rules of flowcontrol.apiserver.k8s.io/v1. */
import type { Scope } from "#platform/store/port.ts";
import type { UserInfo } from "../registry/admission.ts";

/** Schemas and levels that must be there at all times, by their names. */
export const MANDATORY: ReadonlySet<string> = new Set(["exempt", "catch-all"]);

export interface FlowSubject {
  kind: "User" | "Group" | "ServiceAccount";
  user?: { name: string };
  group?: { name: string };
  serviceAccount?: { namespace: string; name: string };
}

export interface FlowRule {
  subjects: FlowSubject[];
  resourceRules?: {
    verbs: string[];
    apiGroups: string[];
    resources: string[];
    clusterScope?: boolean;
    namespaces?: string[];
  }[];
  nonResourceRules?: { verbs: string[]; nonResourceURLs: string[] }[];
}

export interface FlowSchema {
  name: string;
  uid: string;
  precedence: number;
  level: string;
  distinguisher: "ByUser" | "ByNamespace" | undefined;
  rules: FlowRule[];
}

/** What of a request the rules look at. */
export interface FlowRequest {
  user: UserInfo;
  isResource: boolean;
  verb: string;
  path: string;
  group: string;
  resource: string;
  subresource: string;
  namespace: string;
  /** Of a list: which tenant's, of which name alone, and how many at most. */
  tenants?: Scope["tenant"];
  name?: string;
  limit?: number;
}

const has = (list: readonly string[], value: string) => list.includes("*") || list.includes(value);

export function isSubject({ name, groups }: UserInfo, subject: FlowSubject): boolean {
  if (subject.kind === "Group") return subject.group?.name === "*" || groups.includes(subject.group?.name ?? "");
  if (subject.kind === "User") return subject.user?.name === "*" || subject.user?.name === name;
  const { namespace = "", name: account = "" } = subject.serviceAccount ?? {};
  if (account === "*") return name.startsWith(`system:serviceaccount:${namespace}:`);
  return name === `system:serviceaccount:${namespace}:${account}`;
}

function pathFits(pattern: string, path: string): boolean {
  if (pattern === "*" || pattern === path) return true;
  return pattern.endsWith("*") && path.startsWith(pattern.slice(0, -1));
}

export function ruleFits(rule: FlowRule, r: FlowRequest): boolean {
  if (!r.isResource) {
    return (rule.nonResourceRules ?? []).some(
      (n) => has(n.verbs, r.verb) && n.nonResourceURLs.some((pattern) => pathFits(pattern, r.path)),
    );
  }
  const resource = r.subresource === "" ? r.resource : `${r.resource}/${r.subresource}`;
  return (rule.resourceRules ?? []).some(
    (n) =>
      has(n.verbs, r.verb) &&
      has(n.apiGroups, r.group) &&
      has(n.resources, resource) &&
      (r.namespace === "" ? n.clusterScope === true : has(n.namespaces ?? [], r.namespace)),
  );
}

/** Requests of one flow share a hand of queues: a tenant's are never another's. */
export function flowOf(schema: FlowSchema, { user, namespace }: FlowRequest): string {
  const by = schema.distinguisher === "ByUser" ? user.name : schema.distinguisher === "ByNamespace" ? namespace : "";
  return `${user.tenant}/${schema.name}/${by}`;
}

/** Schemas in the order in which they are asked. */
export const inOrder = (schemas: Iterable<FlowSchema>): FlowSchema[] =>
  [...schemas].sort((a, b) => a.precedence - b.precedence || (a.name < b.name ? -1 : 1));
