/** Ingresses and IngressClasses. */
import { isIP } from "node:net";
import type {
  HTTPIngressPath,
  Ingress,
  IngressBackend,
  IngressClass,
  IngressClassParametersReference,
} from "#sdk/api/generated/types.ts";
import {
  isDNS1123Label,
  isDNS1123Subdomain,
  isPortName,
  isPortNumber,
  isWildcardDNS1123Subdomain,
} from "#sdk/api/names.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import {
  type Causes,
  forbiddenField,
  invalidValue,
  notSupported,
  required,
  tooLongValue,
} from "../../registry/causes.ts";
import { genericStrategy, statusView } from "../../registry/generic.ts";
import type { Strategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { each, immutable, segment, subdomain } from "../checks.ts";

const PATH_TYPES = ["Exact", "ImplementationSpecific", "Prefix"];
const PATH_SEQUENCES = ["//", "/./", "/../", "%2f", "%2F"];
const PATH_ENDINGS = ["/..", "/."];
const CONTROLLER_LENGTH_MAX = 250;
const CLASS_ANNOTATION = "kubernetes.io/ingress.class";
const NOT_AN_ADDRESS = "must be a DNS name, not an IP address";

function validateHost(host: string, field: string): Causes {
  const check = host.includes("*") ? isWildcardDNS1123Subdomain(host) : isDNS1123Subdomain(host);
  return each(check, field, host);
}

interface Reference {
  apiGroup?: string;
  kind?: string;
  name?: string;
}

const validateReference = (r: Reference, at: string): Causes => [
  ...((r.apiGroup ?? undefined) === undefined ? [] : subdomain(r.apiGroup, `${at}.apiGroup`)),
  ...segment(r.kind, `${at}.kind`),
  ...segment(r.name, `${at}.name`),
];

function validateBackend(backend: IngressBackend | undefined, at: string): Causes {
  const { resource, service } = backend ?? {};
  if (resource && service) return [invalidValue(at, "", "cannot set both resource and service backends")];
  if (resource) return validateReference(resource as Reference, `${at}.resource`);
  if (!service) return [invalidValue(at, "", "resource or service backend is required")];
  const causes: Causes = service.name
    ? each(isDNS1123Label(service.name), `${at}.service.name`, service.name)
    : [required(`${at}.service.name`)];
  const { name, number } = service.port ?? {};
  if (name && number) causes.push(invalidValue(at, "", "cannot set both port name & port number"));
  else if (name) causes.push(...each(isPortName(name), `${at}.service.port.name`, name));
  else if (number) causes.push(...each(isPortNumber(number), `${at}.service.port.number`, number));
  else causes.push(required(at, "port name or number is required"));
  return causes;
}

function validatePath({ path = "", pathType, backend }: HTTPIngressPath, at: string): Causes {
  // Go's nil arrives as null.
  if (!pathType && pathType !== "") return [required(`${at}.pathType`, "pathType must be specified")];
  const causes: Causes = [];
  const wrong = (detail: string) => causes.push(invalidValue(`${at}.path`, path, detail));
  if (!PATH_TYPES.includes(pathType)) causes.push(notSupported(`${at}.pathType`, pathType, PATH_TYPES));
  else if (pathType === "ImplementationSpecific") {
    if (path && !path.startsWith("/")) wrong("must be an absolute path");
  } else {
    if (!path.startsWith("/")) wrong("must be an absolute path");
    for (const bad of PATH_SEQUENCES) if (path.includes(bad)) wrong(`must not contain '${bad}'`);
    for (const bad of PATH_ENDINGS) if (path.endsWith(bad)) wrong(`cannot end with '${bad}'`);
  }
  return [...causes, ...validateBackend(backend, `${at}.backend`)];
}

function validateIngress({ spec }: Ingress): Causes {
  const causes: Causes = [];
  if (!spec?.rules?.length && !spec?.defaultBackend)
    causes.push(invalidValue("spec", spec?.rules ?? null, "either `defaultBackend` or `rules` must be specified"));
  if (spec?.defaultBackend) causes.push(...validateBackend(spec.defaultBackend, "spec.defaultBackend"));
  for (const [i, { host, http }] of (spec?.rules ?? []).entries()) {
    const at = `spec.rules[${i}]`;
    if (host && isIP(host)) causes.push(invalidValue(`${at}.host`, host, NOT_AN_ADDRESS));
    if (host) causes.push(...validateHost(host, `${at}.host`));
    if (!http) continue;
    if (!http.paths?.length) causes.push(required(`${at}.http.paths`));
    causes.push(...(http.paths ?? []).flatMap((p, j) => validatePath(p, `${at}.http.paths[${j}]`)));
  }
  for (const [i, { hosts, secretName }] of (spec?.tls ?? []).entries()) {
    const at = `spec.tls[${i}]`;
    causes.push(...(hosts ?? []).flatMap((h, j) => validateHost(h, `${at}.hosts[${j}]`)));
    if (secretName) causes.push(...subdomain(secretName, `${at}.secretName`));
  }
  if (spec?.ingressClassName !== undefined) causes.push(...subdomain(spec.ingressClassName, "spec.ingressClassName"));
  return causes;
}

function validateClassAnnotation({ metadata, spec }: Ingress): Causes {
  const annotation = metadata.annotations?.[CLASS_ANNOTATION];
  if (annotation === undefined || spec?.ingressClassName === undefined || annotation === spec.ingressClassName)
    return [];
  return [
    invalidValue(
      `annotations.${CLASS_ANNOTATION}`,
      annotation,
      "must match `ingressClassName` when both are specified",
    ),
  ];
}

/** Leading zeros have meant octal to some, and so may not be. */
const addressError = (ip: string): string =>
  isIP(ip.replace(/\b0+(?=\d)/g, "")) === 4
    ? "must not have leading 0s"
    : "must be a valid IP address, (e.g. 10.9.8.7 or 2001:db8::ffff)";

export const ingressStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    validate: (object) => [...validateIngress(as<Ingress>(object)), ...validateClassAnnotation(as<Ingress>(object))],
    validateUpdate: (next) => validateIngress(as<Ingress>(next)),
    views: {
      status: {
        ...statusView,
        validateUpdate: (next) =>
          (as<Ingress>(next).status?.loadBalancer?.ingress ?? []).flatMap(({ ip, hostname }, i) => {
            const at = `status.loadBalancer.ingress[${i}]`;
            return [
              ...(ip && !isIP(ip) ? [invalidValue(`${at}.ip`, ip, addressError(ip))] : []),
              ...(hostname ? subdomain(hostname, `${at}.hostname`) : []),
              ...(hostname && isIP(hostname) ? [invalidValue(`${at}.hostname`, hostname, NOT_AN_ADDRESS)] : []),
            ];
          }),
      },
    },
  });

/** "example.com/name": a domain, a slash and a path (IsDomainPrefixedPath). */
export function validateDomainPath(value: string | undefined, field: string): Causes {
  if (!value) return [required(field)];
  const at = value.indexOf("/");
  const [domain, path] = [value.slice(0, at), value.slice(at + 1)];
  if (at <= 0 || path === "")
    return [invalidValue(field, value, 'must be a domain-prefixed path (such as "acme.io/foo")')];
  const causes = each(isDNS1123Subdomain(domain), field, domain);
  if (causes.length > 0) return causes;
  return /^[A-Za-z0-9/\-._~%!$&'()*+,;=:]+$/.test(path)
    ? []
    : [invalidValue(field, path, "Invalid path (regex used for validation is '[A-Za-z0-9/\\-._~%!$&'()*+,;=:]+')")];
}

function validateParameters(p: IngressClassParametersReference | undefined, at: string): Causes {
  if (!p) return [];
  const causes = validateReference(p as Reference, at);
  if (p.scope === undefined) return [...causes, required(`${at}.scope`)];
  if (p.scope === "Namespace")
    causes.push(
      ...(p.namespace === undefined
        ? [required(`${at}.namespace`, "`parameters.scope` is set to 'Namespace'")]
        : each(isDNS1123Label(p.namespace), `${at}.namespace`, p.namespace)),
    );
  else if (p.scope !== "Cluster") causes.push(notSupported(`${at}.scope`, p.scope, ["Cluster", "Namespace"]));
  else if (p.namespace !== undefined)
    causes.push(forbiddenField(`${at}.namespace`, "`parameters.scope` is set to 'Cluster'"));
  return causes;
}

function validateClass({ spec }: IngressClass): Causes {
  const controller = spec?.controller;
  return [
    ...((controller?.length ?? 0) > CONTROLLER_LENGTH_MAX
      ? [tooLongValue("spec.controller", CONTROLLER_LENGTH_MAX)]
      : []),
    ...validateDomainPath(controller, "spec.controller"),
    ...validateParameters(spec?.parameters, "spec.parameters"),
  ];
}

export const ingressClassStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: true,
    applyDefaults(object) {
      const parameters = as<IngressClass>(object).spec?.parameters;
      if (parameters) parameters.scope ??= "Cluster";
    },
    validate: (object) => validateClass(as<IngressClass>(object)),
    validateUpdate: (next, old) => [
      ...immutable(
        "spec.controller",
        as<IngressClass>(next).spec?.controller ?? "",
        as<IngressClass>(old).spec?.controller,
      ),
      ...validateClass(as<IngressClass>(next)),
    ],
  });
