/** FlowSchemas and PriorityLevelConfigurations: who waits in which queue. */
import { bootstrap } from "#sdk/api/facts.ts";
import type {
  FlowcontrolV1Subject,
  FlowSchema,
  FlowSchemaSpec,
  LimitedPriorityLevelConfiguration,
  PriorityLevelConfiguration,
  QueuingConfiguration,
} from "#sdk/api/generated/types.ts";
import { isDNS1123Label } from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { MANDATORY } from "../../fairness/schemas.ts";
import { type Causes, forbiddenField, invalidValue, notSupported, required } from "../../registry/causes.ts";
import { genericStrategy, statusView } from "../../registry/generic.ts";
import { sorted } from "../../registry/meta.ts";
import type { Strategy, ViewStrategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { chosen, each, subdomain } from "../checks.ts";

const VERBS = ["create", "delete", "deletecollection", "get", "list", "patch", "proxy", "update", "watch"];
const PRECEDENCE = { fallback: 1000, max: 10_000 };
const QUEUES_MAX = 10_000_000;
/** Bits of a request's hash from which its hand of queues is dealt. */
const HASH_BITS_MAX = 60;

const SUBJECTS = { User: "user", Group: "group", ServiceAccount: "serviceAccount" } as const;
const SUBJECT_KINDS = ["Group", "ServiceAccount", "User"] as const;

function validateSubject(subject: FlowcontrolV1Subject, at: string): Causes {
  const kind = SUBJECT_KINDS.find((k) => k === subject.kind);
  if (!kind) return [notSupported(`${at}.kind`, subject.kind ?? "", SUBJECT_KINDS)];
  const field = SUBJECTS[kind];
  const of = `${at}.${field}`;
  const chosenSubject = subject[field];
  const causes: Causes = [];
  if (!chosenSubject) causes.push(required(of, `${field} is required when subject kind is '${kind}'`));
  else if (!chosenSubject.name) causes.push(required(`${of}.name`));
  else if (kind === "ServiceAccount" && chosenSubject.name !== "*")
    causes.push(...subdomain(chosenSubject.name, `${of}.name`));
  if (kind === "ServiceAccount" && subject.serviceAccount) {
    const { namespace } = subject.serviceAccount;
    causes.push(
      ...(namespace
        ? each(isDNS1123Label(namespace), `${of}.namespace`, namespace)
        : [required(`${of}.namespace`, "must specify namespace for service account")]),
    );
  }
  for (const other of SUBJECT_KINDS)
    if (other !== kind && subject[SUBJECTS[other]])
      causes.push(
        forbiddenField(
          `${at}.${SUBJECTS[other]}`,
          `${SUBJECTS[other]} is forbidden when subject kind is not '${other}'`,
        ),
      );
  return causes;
}

function validateVerbs(verbs: readonly string[], field: string): Causes {
  if (verbs.length === 0) return [required(field, "verbs must contain at least one value")];
  if (verbs.includes("*"))
    return verbs.length > 1 ? [invalidValue(field, verbs, "if '*' is present, must not specify other verbs")] : [];
  return verbs.every((v) => VERBS.includes(v)) ? [] : [notSupported(field, verbs, VERBS)];
}

function urlError(url: string): string | undefined {
  if (url === "") return "must not be empty";
  if (url === "/") return undefined;
  if (!url.startsWith("/")) return "must start with slash";
  if (url.includes(" ")) return "must not contain white-space";
  if (url.includes("//")) return "must not contain double slash";
  const stars = url.split("*").length - 1;
  return stars > 1 || (stars === 1 && !url.endsWith("/*")) ? "wildcard can only do suffix matching" : undefined;
}

function validateUrls(urls: readonly string[], field: string): Causes {
  if (urls.length === 0) return [required(field, "nonResourceURLs must contain at least one value")];
  if (urls.includes("*"))
    return urls.length > 1
      ? [invalidValue(field, urls, "if '*' is present, must not specify other non-resource URLs")]
      : [];
  return urls.flatMap((url, i) => {
    const error = urlError(url);
    return error ? [invalidValue(`${field}[${i}]`, url, error)] : [];
  });
}

function listOrAll(values: readonly string[], field: string, none: string, several: string): Causes {
  if (values.length === 0) return [required(field, `resource rules must supply at least one ${none}`)];
  return values.length > 1 && values.includes("*")
    ? [invalidValue(field, values, `if '*' is present, must not specify other ${several}`)]
    : [];
}

function validateNamespaces(namespaces: readonly string[], clusterScope: boolean, field: string): Causes {
  if (namespaces.length === 0 && !clusterScope)
    return [required(field, "resource rules that are not cluster scoped must supply at least one namespace")];
  if (namespaces.includes("*"))
    return namespaces.length > 1
      ? [invalidValue(field, namespaces, "if '*' is present, must not specify other namespaces")]
      : [];
  return namespaces.flatMap((n, i) =>
    each(
      isDNS1123Label(n).map((m) => `each member of this list must be '*' or a DNS-1123 label; ${m}`),
      `${field}[${i}]`,
      n,
    ),
  );
}

type Rule = NonNullable<FlowSchemaSpec["rules"]>[number];

function validateRule(rule: Rule, at: string): Causes {
  const causes: Causes = [];
  if (!rule.subjects?.length) causes.push(required(`${at}.subjects`, "subjects must contain at least one value"));
  causes.push(...(rule.subjects ?? []).flatMap((s, i) => validateSubject(s, `${at}.subjects[${i}]`)));
  if (!rule.resourceRules?.length && !rule.nonResourceRules?.length)
    causes.push(required(at, "at least one of resourceRules and nonResourceRules has to be non-empty"));
  for (const [i, r] of (rule.resourceRules ?? []).entries()) {
    const of = `${at}.resourceRules[${i}]`;
    causes.push(
      ...validateVerbs(r.verbs ?? [], `${of}.verbs`),
      ...listOrAll(r.apiGroups ?? [], `${of}.apiGroups`, "api group", "api groups"),
      ...listOrAll(r.resources ?? [], `${of}.resources`, "resource", "resources"),
      ...validateNamespaces(r.namespaces ?? [], r.clusterScope ?? false, `${of}.namespaces`),
    );
  }
  for (const [i, r] of (rule.nonResourceRules ?? []).entries())
    causes.push(
      ...validateVerbs(r.verbs ?? [], `${at}.nonResourceRules[${i}].verbs`),
      ...validateUrls(r.nonResourceURLs ?? [], `${at}.nonResourceRules[${i}].nonResourceURLs`),
    );
  return causes;
}

function validatePrecedence(precedence: number, name: string | undefined): Causes {
  const wrong = (detail: string) => [invalidValue("spec.matchingPrecedence", precedence, detail)];
  if (precedence <= 0) return wrong("must be a positive value");
  if (precedence > PRECEDENCE.max) return wrong(`must not be greater than ${PRECEDENCE.max}`);
  if (precedence === 1 && name !== "exempt")
    return wrong("only the schema named 'exempt' may have matchingPrecedence 1");
  return [];
}

const DISTINGUISHER_FIELD = "spec.distinguisherMethod.type";
const DISTINGUISHERS = ["ByNamespace", "ByUser"];

/** What the server that judges schemas and levels writes of them. */
const conditionsView: ViewStrategy = {
  ...statusView,
  validateUpdate: (object) =>
    (as<FlowSchema>(object).status?.conditions ?? []).flatMap(({ type }, i) =>
      type ? [] : [required(`status.conditions[${i}].type`)],
    ),
};

export const flowSchemaStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    applyDefaults(object) {
      const schema = as<FlowSchema>(object);
      schema.spec ??= {} as FlowSchemaSpec;
      schema.spec.matchingPrecedence ||= PRECEDENCE.fallback;
    },
    views: { status: conditionsView },
    validate(object) {
      const { metadata, spec } = as<FlowSchema>(object);
      const level = spec?.priorityLevelConfiguration?.name;
      const levelField = "spec.priorityLevelConfiguration.name";
      const fixed = fixedSpec<FlowSchema>("flowSchemas", metadata.name);
      return [
        ...validatePrecedence(spec?.matchingPrecedence ?? 0, metadata.name),
        ...(spec?.distinguisherMethod && !DISTINGUISHERS.includes(spec.distinguisherMethod.type ?? "")
          ? [notSupported(DISTINGUISHER_FIELD, { Type: spec.distinguisherMethod.type ?? "" }, DISTINGUISHERS)]
          : []),
        ...(level ? subdomain(level, levelField) : [required(levelField, "must reference a priority level")]),
        ...(spec?.rules ?? []).flatMap((rule, i) => validateRule(rule, `spec.rules[${i}]`)),
        ...(fixed && !equal(spec, fixed)
          ? [invalidValue("spec", spec, `spec of '${metadata.name}' must equal the fixed value`)]
          : []),
      ];
    },
  });

/** Bits that dealing `hand` of `deck` cards needs (apiserver's shufflesharding). */
function entropyBits(deck: number, hand: number): number {
  let bits = 0;
  for (let i = 0; i < hand; i++) bits += Math.log2(deck - i);
  return Math.ceil(bits);
}

function validateQueuing(q: QueuingConfiguration, at: string): Causes {
  const { queues = 0, handSize = 0, queueLengthLimit = 0 } = q;
  const causes: Causes = [];
  const wrong = (field: string, value: number, detail: string) =>
    causes.push(invalidValue(`${at}.${field}`, value, detail));
  if (queueLengthLimit <= 0) wrong("queueLengthLimit", queueLengthLimit, "must be positive");
  if (queues <= 0) wrong("queues", queues, "must be positive");
  else if (queues > QUEUES_MAX) wrong("queues", queues, `must not be greater than ${QUEUES_MAX}`);
  if (handSize <= 0) wrong("handSize", handSize, "must be positive");
  else if (handSize > queues) wrong("handSize", handSize, `should not be greater than queues (${queues})`);
  else if (entropyBits(queues, handSize) > HASH_BITS_MAX)
    wrong(
      "handSize",
      handSize,
      `required entropy bits of deckSize ${queues} and handSize ${handSize} should not be greater than ${HASH_BITS_MAX}`,
    );
  return causes;
}

function validateShares(
  c: { nominalConcurrencyShares?: number; lendablePercent?: number; borrowingLimitPercent?: number },
  at: string,
): Causes {
  const causes: Causes = [];
  const { nominalConcurrencyShares: shares, lendablePercent: lendable, borrowingLimitPercent: limit } = c;
  if (shares !== undefined && shares < 0)
    causes.push(invalidValue(`${at}.nominalConcurrencyShares`, shares, "must be a non-negative integer"));
  if (lendable !== undefined && (lendable < 0 || lendable > 100))
    causes.push(invalidValue(`${at}.lendablePercent`, lendable, "must be between 0 and 100, inclusive"));
  if (limit !== undefined && limit < 0)
    causes.push(invalidValue(`${at}.borrowingLimitPercent`, limit, "if specified, must be a non-negative integer"));
  return causes;
}

function validateLimited(limited: LimitedPriorityLevelConfiguration, at: string): Causes {
  const response = limited.limitResponse;
  const queuing = `${at}.limitResponse.queuing`;
  const causes = [
    ...validateShares(limited, at),
    ...chosen(response?.type, `${at}.limitResponse.type`, ["Queue", "Reject"]),
  ];
  if (response?.type === "Reject" && response.queuing)
    causes.push(forbiddenField(queuing, "must be nil if limited.limitResponse.type is not Limited"));
  if (response?.type === "Queue")
    causes.push(
      ...(response.queuing
        ? validateQueuing(response.queuing, queuing)
        : [required(queuing, "must not be empty if limited.limitResponse.type is Limited")]),
    );
  return causes;
}

/** What must be there must be as it is; undefined for other names. */
function fixedSpec<T extends { spec?: unknown }>(kind: "flowSchemas" | "priorityLevelConfigurations", name = "") {
  if (!MANDATORY.has(name)) return undefined;
  return (bootstrap()[kind] as unknown as (T & { metadata: { name?: string } })[]).find((o) => o.metadata.name === name)
    ?.spec as T["spec"];
}

const equal = (a: unknown, b: unknown): boolean => JSON.stringify(sorted(a)) === JSON.stringify(sorted(b));

function validateFixedLevel({ metadata, spec }: PriorityLevelConfiguration): Causes {
  const fixed = fixedSpec<PriorityLevelConfiguration>("priorityLevelConfigurations", metadata.name);
  if (!fixed) return [];
  const exempt = metadata.name === "exempt";
  const { exempt: _, ...rest } = spec ?? {};
  const { exempt: __, ...wanted } = fixed;
  if (exempt ? equal(rest, wanted) : equal(spec, fixed)) return [];
  const but = exempt ? " except the 'spec.exempt' field" : "";
  return [invalidValue("spec", spec, `spec of '${metadata.name}'${but} must equal the fixed value`)];
}

function validateLevel({ metadata, spec }: PriorityLevelConfiguration): Causes {
  const type = spec?.type ?? "";
  const causes: Causes = [];
  if ((metadata.name === "exempt") !== (type === "Exempt"))
    causes.push(invalidValue("spec.type", type, "must be 'Exempt' if and only if `name` is 'exempt'"));
  if (type === "Exempt") {
    if (spec?.limited) causes.push(forbiddenField("spec.limited", "must be nil if the type is not Limited"));
    if (spec?.exempt) causes.push(...validateShares(spec.exempt, "spec.exempt"));
  } else if (type === "Limited") {
    if (spec?.exempt) causes.push(forbiddenField("spec.exempt", "must be nil if the type is Limited"));
    causes.push(
      ...(spec?.limited
        ? validateLimited(spec.limited, "spec.limited")
        : [required("spec.limited", "must not be empty when type is Limited")]),
    );
  } else causes.push(...chosen(type, "spec.type", ["Exempt", "Limited"]));
  causes.push(...validateFixedLevel({ metadata, spec }));
  return causes;
}

export const priorityLevelStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    applyDefaults(object) {
      const { spec } = as<PriorityLevelConfiguration>(object);
      if (spec?.exempt) {
        spec.exempt.nominalConcurrencyShares ??= 0;
        spec.exempt.lendablePercent ??= 0;
      }
      if (!spec?.limited) return;
      spec.limited.nominalConcurrencyShares ??= 30;
      spec.limited.lendablePercent ??= 0;
      const queuing = spec.limited.limitResponse?.queuing;
      if (!queuing) return;
      queuing.handSize ||= 8;
      queuing.queues ||= 64;
      queuing.queueLengthLimit ||= 50;
    },
    views: { status: conditionsView },
    validate: (object) => validateLevel(as<PriorityLevelConfiguration>(object)),
  });
