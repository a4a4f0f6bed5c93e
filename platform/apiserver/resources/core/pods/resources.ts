/** Validation of what containers and pods ask for (ValidateContainerResourceRequirements, validatePodResources, validatePodResourceClaims). */
import type {
  Container,
  ContainerResizePolicy,
  CoreV1ResourceClaim,
  PodResourceClaim,
  PodSpec,
  ResourceRequirements,
} from "#sdk/api/generated/types.ts";
import { isDNS1123Label, isDNS1123Subdomain } from "#sdk/api/names.ts";
import {
  addQuantities,
  compareQuantities,
  formatQuantity,
  parseQuantity,
  type Quantity,
  quantityValue,
} from "#sdk/api/quantity.ts";
import {
  type Causes,
  duplicate,
  forbiddenField,
  invalidValue,
  notFoundValue,
  notSupported,
  required,
} from "../../../registry/causes.ts";
import { chosen, each } from "../../checks.ts";
import {
  isHugePages,
  isOvercommitted,
  validateAmount,
  validateContainerResourceName,
  validateResourceName,
} from "../../resourceNames.ts";

type ResourceList = Readonly<Record<string, string | number>>;
type NameRule = (name: string, field: string) => Causes;

const QOS_RESOURCES = ["cpu", "memory"];
const POD_RESOURCES = ["cpu", "memory", "hugepages-"];

/** True for whole pages; a name that tells no page's size has none. */
function isWholePages(name: string, amount: Quantity): boolean {
  try {
    const page = parseQuantity(name.slice("hugepages-".length));
    return page.nano > 0n && page.nano % 1_000_000_000n === 0n && quantityValue(amount) % quantityValue(page) === 0;
  } catch {
    return false;
  }
}

function validateList(list: ResourceList, at: string, nameRule: NameRule, oddHugePages: boolean): Causes {
  return Object.entries(list).flatMap(([name, amount]) => {
    const field = `${at}[${name}]`;
    const text = String(amount);
    const broken = isHugePages(name) && !oddHugePages && !isWholePages(name, parseQuantity(text));
    return [
      ...nameRule(name, field),
      ...validateAmount(name, amount, field),
      ...(broken ? [invalidValue(field, text, `${text} is not positive integer multiple of ${name}`)] : []),
    ];
  });
}

/** Requests against limits: never more, and the same where nothing can be lent. */
function validateAgainst(requests: ResourceList, limits: ResourceList, path: string): Causes {
  return Object.entries(requests).flatMap(([name, amount]) => {
    const limit = limits[name];
    if (limit === undefined)
      return isOvercommitted(name)
        ? []
        : [required(`${path}.limits`, "Limit must be set for non overcommitable resources")];
    const order = compareQuantities(parseQuantity(amount), parseQuantity(limit));
    const wrong = (how: string) => [
      invalidValue(`${path}.requests`, String(amount), `must be ${how} ${name} limit of ${limit}`),
    ];
    if (order !== 0 && !isOvercommitted(name)) return wrong("equal to");
    return order > 0 ? wrong("less than or equal to") : [];
  });
}

/** Each claim once: whole, or by its requests. */
function validateClaimNames(claims: readonly CoreV1ResourceClaim[], known: ReadonlySet<string>, path: string): Causes {
  const seen = new Set<string>();
  return claims.flatMap(({ name = "", request = "" }, i) => {
    const at = `${path}[${i}]`;
    if (name === "") return [required(at)];
    const causes: Causes = [];
    if (seen.has(name)) causes.push(duplicate(at, name));
    else {
      if (request) causes.push(...each(isDNS1123Label(request), `${at}.request`, request));
      const key = request ? `${name}/${request}` : name;
      if (seen.has(key)) causes.push(duplicate(at, key));
      else if (!request) for (const other of seen) if (other.startsWith(`${name}/`)) causes.push(duplicate(at, name));
      seen.add(key);
    }
    if (known.has(name)) return causes;
    const names = known.size === 0 ? " which is empty" : `: ${[...known].sort().join(", ")}`;
    return [...causes, notFoundValue(at, name, `must be one of the names in pod.spec.resourceClaims${names}`)];
  });
}

function validateRequirements(
  requirements: ResourceRequirements | undefined,
  path: string,
  claims: ReadonlySet<string>,
  nameRule: NameRule,
  oddHugePages: boolean,
): Causes {
  const { requests = {}, limits = {} } = requirements ?? {};
  const causes = [
    ...validateList(limits, `${path}.limits`, nameRule, oddHugePages),
    ...validateList(requests, `${path}.requests`, nameRule, oddHugePages),
    ...validateAgainst(requests, limits, path),
  ];
  const names = [...Object.keys(limits), ...Object.keys(requests)];
  if (names.some(isHugePages) && !names.some((name) => QOS_RESOURCES.includes(name)))
    causes.push(forbiddenField(path, "HugePages require cpu or memory"));
  return [...causes, ...validateClaimNames(requirements?.claims ?? [], claims, `${path}.claims`)];
}

export const validateContainerResources = (
  requirements: ResourceRequirements | undefined,
  path: string,
  claims: ReadonlySet<string>,
  oddHugePages = false,
): Causes => validateRequirements(requirements, path, claims, validateContainerResourceName, oddHugePages);

/** What a pod needs besides its containers; `path` is where it stands. */
export const validateOverhead = (overhead: ResourceRequirements["limits"], path: string): Causes =>
  overhead ? validateContainerResources({ limits: overhead }, path, new Set()) : [];

const validatePodResourceName: NameRule = (name, field) => {
  const causes = validateResourceName(name, field);
  if (causes.length > 0 || QOS_RESOURCES.includes(name) || isHugePages(name)) return causes;
  return [notSupported(field, name, POD_RESOURCES)];
};

type Amounts = Map<string, Quantity>;

function add(into: Amounts, list: ResourceList | undefined): void {
  for (const [name, text] of Object.entries(list ?? {})) {
    const amount = parseQuantity(text);
    const before = into.get(name);
    into.set(name, before ? addQuantities(before, amount) : amount);
  }
}

function raise(into: Amounts, to: Amounts): void {
  for (const [name, amount] of to) {
    const before = into.get(name);
    if (!before || compareQuantities(before, amount) < 0) into.set(name, amount);
  }
}

/** Containers and sidecars together, or the most that any moment of initialization needs. */
export function aggregated(spec: PodSpec, kind: "requests" | "limits"): Amounts {
  const of = ({ resources }: Container) => resources?.[kind];
  const total: Amounts = new Map();
  for (const container of spec.containers ?? []) add(total, of(container));
  const [sidecars, peak]: [Amounts, Amounts] = [new Map(), new Map()];
  for (const container of spec.initContainers ?? []) {
    if (container.restartPolicy === "Always") {
      add(total, of(container));
      add(sidecars, of(container));
      raise(peak, sidecars);
    } else {
      const moment = new Map(sidecars);
      add(moment, of(container));
      raise(peak, moment);
    }
  }
  raise(total, peak);
  return total;
}

/** A pod's own amounts hold what its containers ask for. `path` is of the resources. */
function validateConsistency(spec: PodSpec, path: string): Causes {
  const { requests = {}, limits = {} } = spec.resources ?? {};
  const sums = (kind: "requests" | "limits", own: ResourceList) =>
    [...aggregated(spec, kind)].flatMap(([name, sum]) => {
      const amount = own[name];
      if (amount === undefined || (kind === "limits" && !isHugePages(name))) return [];
      const detail = `must be greater than or equal to aggregate container ${kind} of ${formatQuantity(sum)}`;
      return compareQuantities(sum, parseQuantity(amount)) > 0
        ? [invalidValue(`${path}.${kind}[${name}]`, String(amount), detail)]
        : [];
    });
  const single = (spec.containers ?? []).flatMap(({ resources }, i) =>
    Object.entries(resources?.limits ?? {}).flatMap(([name, amount]) => {
      const limit = limits[name];
      if (limit === undefined || compareQuantities(parseQuantity(amount), parseQuantity(limit)) <= 0) return [];
      const field = `${path}.containers[${i}][${name}].limits`;
      return [invalidValue(field, String(amount), `must be less than or equal to pod limits of ${limit}`)];
    }),
  );
  return [...sums("requests", requests), ...sums("limits", limits), ...single];
}

/** Resources of the pod as a whole (KEP-2837). `path` is the spec's. */
export function validatePodResources(
  spec: PodSpec,
  path: string,
  claims: ReadonlySet<string>,
  oddHugePages: boolean,
): Causes {
  if (!spec.resources) return [];
  const at = `${path}.resources`;
  if (spec.os?.name === "windows") return [forbiddenField(at, "may not be set for a windows pod")];
  return [
    ...(spec.resources.claims
      ? [forbiddenField(`${at}.claims`, "claims may not be set for Resources at pod-level")]
      : []),
    ...validateRequirements(spec.resources, at, claims, validatePodResourceName, oddHugePages),
    ...validateConsistency(spec, at),
  ];
}

const RESIZE_POLICIES = ["NotRequired", "RestartContainer"];

/** Upstream tells of all of them where the list is. */
export function validateResizePolicy(
  policies: readonly ContainerResizePolicy[],
  path: string,
  podRestart: string | undefined,
): Causes {
  const seen = new Set<string>();
  return policies.flatMap(({ resourceName = "", restartPolicy = "" }, i) => {
    const causes: Causes = seen.has(resourceName) ? [duplicate(`${path}[${i}]`, resourceName)] : [];
    seen.add(resourceName);
    causes.push(...chosen(resourceName, path, QOS_RESOURCES), ...chosen(restartPolicy, path, RESIZE_POLICIES));
    if (podRestart === "Never" && restartPolicy !== "NotRequired")
      causes.push(invalidValue(path, restartPolicy, "must be 'NotRequired' when pod `restartPolicy` is 'Never'"));
    return causes;
  });
}

const goClaim = (claim: PodResourceClaim): unknown => ({
  Name: claim.name ?? "",
  ResourceClaimName: claim.resourceClaimName ?? null,
  ResourceClaimTemplateName: claim.resourceClaimTemplateName ?? null,
});

export const claimNames = ({ resourceClaims = [] }: PodSpec): ReadonlySet<string> =>
  new Set(resourceClaims.map(({ name }) => name ?? "").filter((name) => name !== ""));

/** `mirror`: the pod is a static pod's image in the API, which can claim nothing. */
export function validateResourceClaims(claims: readonly PodResourceClaim[], path: string, mirror: boolean): Causes {
  const seen = new Set<string>();
  return claims.flatMap((claim, i) => {
    if (mirror) return [forbiddenField("", "static pods do not support resource claims")];
    const at = `${path}[${i}]`;
    const { name = "", resourceClaimName: own, resourceClaimTemplateName: template } = claim;
    const causes: Causes = [];
    if (name === "") causes.push(required(`${at}.name`));
    else if (seen.has(name)) causes.push(duplicate(`${at}.name`, name));
    else causes.push(...each(isDNS1123Label(name), `${at}.name`, name));
    seen.add(name);
    if (own !== undefined && template !== undefined)
      causes.push(
        invalidValue(
          at,
          goClaim(claim),
          "at most one of `resourceClaimName` or `resourceClaimTemplateName` may be specified",
        ),
      );
    if (own === undefined && template === undefined)
      causes.push(
        invalidValue(at, goClaim(claim), "must specify one of: `resourceClaimName`, `resourceClaimTemplateName`"),
      );
    for (const field of ["resourceClaimName", "resourceClaimTemplateName"] as const) {
      const value = claim[field];
      if (value !== undefined) causes.push(...each(isDNS1123Subdomain(value), `${at}.${field}`, value));
    }
    return causes;
  });
}
