/** RBAC's arithmetic, pure: which rules allow what, and which rules cover others (apiserver's rbac/v1 evaluation helpers). */
export interface PolicyRule {
  verbs?: string[];
  apiGroups?: string[];
  resources?: string[];
  resourceNames?: string[];
  nonResourceURLs?: string[];
}

export interface Subject {
  kind: string;
  apiGroup?: string;
  name: string;
  namespace?: string;
}

const has = (list: readonly string[] | undefined, value: string) => (list ?? []).some((x) => x === "*" || x === value);

function resourceMatches(rule: PolicyRule, resource: string, subresource: string): boolean {
  const combined = subresource ? `${resource}/${subresource}` : resource;
  return (rule.resources ?? []).some(
    (r) => r === "*" || r === combined || (subresource !== "" && r === `*/${subresource}`),
  );
}

const pathMatches = (patterns: readonly string[] | undefined, path: string) =>
  (patterns ?? []).some((p) => p === "*" || p === path || (p.endsWith("*") && path.startsWith(p.slice(0, -1))));

export interface RuleRequest {
  verb: string;
  resource?: { group: string; resource: string; subresource: string; name: string };
  path?: string;
}

export function ruleAllows(rule: PolicyRule, request: RuleRequest): boolean {
  if (!has(rule.verbs, request.verb)) return false;
  if (!request.resource) return pathMatches(rule.nonResourceURLs, request.path ?? "");
  const { group, resource, subresource, name } = request.resource;
  if (!has(rule.apiGroups, group) || !resourceMatches(rule, resource, subresource)) return false;
  const names = rule.resourceNames ?? [];
  return names.length === 0 || names.includes(name);
}

/** One verb on one thing: what a rule breaks down into when it is compared with others. */
function breakdown(rule: PolicyRule): PolicyRule[] {
  const parts: PolicyRule[] = [];
  for (const verb of rule.verbs ?? []) {
    for (const url of rule.nonResourceURLs ?? []) parts.push({ verbs: [verb], nonResourceURLs: [url] });
    for (const group of rule.apiGroups ?? []) {
      for (const resource of rule.resources ?? []) {
        const part = { verbs: [verb], apiGroups: [group], resources: [resource] };
        const names = rule.resourceNames ?? [];
        if (names.length === 0) parts.push(part);
        for (const name of names) parts.push({ ...part, resourceNames: [name] });
      }
    }
  }
  return parts;
}

function covers(owner: PolicyRule, part: PolicyRule): boolean {
  const verb = part.verbs?.[0] ?? "";
  if (!has(owner.verbs, verb)) return false;
  const url = part.nonResourceURLs?.[0];
  if (url !== undefined) return pathMatches(owner.nonResourceURLs, url);
  const [resource = "", subresource = ""] = (part.resources?.[0] ?? "").split("/");
  if (!has(owner.apiGroups, part.apiGroups?.[0] ?? "") || !resourceMatches(owner, resource, subresource)) return false;
  const names = owner.resourceNames ?? [];
  return names.length === 0 || (part.resourceNames?.[0] !== undefined && names.includes(part.resourceNames[0]));
}

/** The parts of `wanted` that nothing in `owned` covers. */
export function uncovered(owned: readonly PolicyRule[], wanted: readonly PolicyRule[]): PolicyRule[] {
  return wanted.flatMap(breakdown).filter((part) => !owned.some((rule) => covers(rule, part)));
}

/** Rules on the same one thing as one rule of all their verbs (upstream's CompactRules). */
export function compacted(rules: readonly PolicyRule[]): PolicyRule[] {
  const simple = new Map<string, PolicyRule>();
  const rest: PolicyRule[] = [];
  for (const rule of rules) {
    const { verbs = [], ...what } = rule;
    if (what.nonResourceURLs || what.apiGroups?.length !== 1 || what.resources?.length !== 1) rest.push(rule);
    else {
      const key = JSON.stringify([what.apiGroups, what.resources, what.resourceNames ?? []]);
      const before = simple.get(key);
      simple.set(key, before ? { ...before, verbs: [...(before.verbs ?? []), ...verbs] } : { ...what, verbs });
    }
  }
  return [...rest, ...simple.values()];
}

export function subjectIs(
  subject: Subject,
  user: { name: string; groups: readonly string[] },
  bindingNamespace: string,
): boolean {
  switch (subject.kind) {
    case "User":
      return user.name === subject.name;
    case "Group":
      return user.groups.includes(subject.name);
    case "ServiceAccount": {
      const namespace = subject.namespace || bindingNamespace;
      return namespace !== "" && user.name === `system:serviceaccount:${namespace}:${subject.name}`;
    }
    default:
      return false;
  }
}
