/** CertificateSigningRequests: the asker's identity is the server's to write, approval and certificate have views of their own. */
import { createPublicKey, verify, X509Certificate } from "node:crypto";
import { timeText } from "#platform/base/clock.ts";
import type { CertificateSigningRequest, CertificateSigningRequestCondition } from "#sdk/api/generated/types.ts";
import { isDNS1123Label, isDNS1123Subdomain } from "#sdk/api/names.ts";
import type { DynamicObject } from "#sdk/api/object.ts";
import type { ResourceFacts } from "#sdk/api/schema.ts";
import { type Causes, duplicate, forbiddenField, invalidValue, notSupported, required } from "../../registry/causes.ts";
import { genericStrategy } from "../../registry/generic.ts";
import type { RequestContext, Strategy, ViewStrategy } from "../../registry/strategy.ts";
import { as } from "../as.ts";
import { same } from "../checks.ts";
import { pemBlocks, requestParts } from "./pkcs10.ts";

const USAGES = [
  "any",
  "cert sign",
  "client auth",
  "code signing",
  "content commitment",
  "crl sign",
  "data encipherment",
  "decipher only",
  "digital signature",
  "email protection",
  "encipher only",
  "ipsec end system",
  "ipsec tunnel",
  "ipsec user",
  "key agreement",
  "key encipherment",
  "microsoft sgc",
  "netscape sgc",
  "ocsp signing",
  "s/mime",
  "server auth",
  "signing",
  "timestamping",
];
const LEGACY_SIGNER = "kubernetes.io/legacy-unknown";
const SIGNER_LENGTH_MAX = 253 + 1 + 253;
const EXPIRATION_SECONDS_MIN = 600;
const DECISIONS = ["Approved", "Denied"] as const;
const FINAL = [...DECISIONS, "Failed"];
const CONDITIONS = "status.conditions";

/** Why a PKCS#10 request cannot be one, or undefined. */
function requestError(base64: string | undefined): string | undefined {
  const [block] = pemBlocks(Buffer.from(base64 ?? "", "base64").toString("latin1"));
  if (block?.type !== "CERTIFICATE REQUEST") return "PEM block type must be CERTIFICATE REQUEST";
  const parts = requestParts(block.bytes);
  if (!parts) return "x509: malformed certificate request";
  try {
    const key = createPublicKey({ key: parts.publicKey, format: "der", type: "spki" });
    return verify(parts.hash, parts.signed, key, parts.signature) ? undefined : "x509: invalid signature";
  } catch {
    return "x509: cannot verify signature: algorithm unimplemented";
  }
}

function certificateError(base64: string | undefined): string | undefined {
  if (!base64) return undefined;
  const blocks = pemBlocks(Buffer.from(base64, "base64").toString("latin1"));
  for (const { type, headers, bytes } of blocks) {
    if (type !== "CERTIFICATE") return `only CERTIFICATE PEM blocks are allowed, found ${JSON.stringify(type)}`;
    if (headers) return "no PEM block headers are permitted";
    try {
      new X509Certificate(bytes);
    } catch {
      return "x509: malformed certificate";
    }
  }
  return blocks.length === 0 ? "must contain at least one CERTIFICATE PEM block" : undefined;
}

/** "example.com/signer-name": domain with a dot, and a path whose parts are subdomains. */
function validateSigner(name: string | undefined): Causes {
  const field = "spec.signerName";
  if (!name) return [required(field)];
  const wrong = (detail: string) => [invalidValue(field, name, detail)];
  if (name === LEGACY_SIGNER) return wrong("the legacy signerName is not allowed via this API version");
  const segments = name.split("/");
  const [domain = "", path = ""] = segments;
  if (segments.length !== 2)
    return wrong("must be a fully qualified domain and path of the form 'example.com/signer-name'");
  const causes: Causes = isDNS1123Subdomain(domain).map((m) =>
    invalidValue(field, domain, `validating label "${domain}": ${m}`),
  );
  if (domain.split(".").length < 2)
    causes.push(invalidValue(field, domain, "should be a domain with at least two segments separated by dots"));
  for (const part of path.split("."))
    causes.push(...isDNS1123Label(part).map((m) => invalidValue(field, path, `validating label "${part}": ${m}`)));
  if (name.length > SIGNER_LENGTH_MAX)
    causes.push({
      reason: "FieldValueTooLong",
      message: `Too long: may not be more than ${SIGNER_LENGTH_MAX} bytes`,
      field,
    });
  return causes;
}

function validateUsages(usages: readonly string[]): Causes {
  const field = "spec.usages";
  if (usages.length === 0) return [required(field)];
  const unknown = usages.flatMap((u, i) => (USAGES.includes(u) ? [] : [notSupported(`${field}[${i}]`, u, USAGES)]));
  const twice = usages.flatMap((u, i) => (usages.indexOf(u) === i ? [] : [duplicate(`${field}[${i}]`, u)]));
  return [...unknown, ...twice];
}

const conditionsOf = (csr: CertificateSigningRequest): CertificateSigningRequestCondition[] =>
  csr.status?.conditions ?? [];

function validateConditions(conditions: readonly CertificateSigningRequestCondition[]): Causes {
  const causes: Causes = [];
  const seen = new Set<string>();
  for (const [i, { type = "", status = "" }] of conditions.entries()) {
    const at = `${CONDITIONS}[${i}]`;
    const allowed = FINAL.includes(type) ? ["True"] : ["False", "True", "Unknown"];
    if (!type) causes.push(required(`${at}.type`));
    if (!status) causes.push(required(`${at}.status`));
    else if (!allowed.includes(status)) causes.push(notSupported(`${at}.status`, status, allowed));
    const other = type === "Approved" ? "Denied" : type === "Denied" ? "Approved" : undefined;
    if (other && seen.has(other))
      causes.push(invalidValue(CONDITIONS, type, "Approved and Denied conditions are mutually exclusive"));
    if (seen.has(type)) causes.push(duplicate(`${at}.type`, type));
    seen.add(type);
  }
  return causes;
}

function validate(csr: CertificateSigningRequest, oldCertificate?: string): Causes {
  const { spec, status } = csr;
  const request = requestError(spec?.request);
  const seconds = spec?.expirationSeconds;
  const certificate = status?.certificate === oldCertificate ? undefined : certificateError(status?.certificate);
  return [
    ...(request ? [invalidValue("spec.request", spec?.request ?? null, request)] : []),
    ...validateUsages(spec?.usages ?? []),
    ...validateSigner(spec?.signerName),
    ...(seconds !== undefined && seconds < EXPIRATION_SECONDS_MIN
      ? [
          invalidValue(
            "spec.expirationSeconds",
            seconds,
            "may not specify a duration less than 600 seconds (10 minutes)",
          ),
        ]
      : []),
    ...validateConditions(conditionsOf(csr)),
    ...(certificate ? [invalidValue("status.certificate", "<certificate data>", certificate)] : []),
  ];
}

interface Allowed {
  decisions: boolean;
  certificate: boolean;
}

function validateChange(next: DynamicObject, old: DynamicObject, allowed: Allowed): Causes {
  const [after, before] = [as<CertificateSigningRequest>(next), as<CertificateSigningRequest>(old)];
  const causes = validate(after, before.status?.certificate ?? "");
  const of = (csr: CertificateSigningRequest, type: string) => conditionsOf(csr).filter((c) => c.type === type);
  for (const type of FINAL)
    if (of(after, type).length < of(before, type).length)
      causes.push(forbiddenField(CONDITIONS, `updates may not remove a condition of type "${type}"`));
  for (const type of allowed.decisions ? [] : DECISIONS) {
    const [now, then] = [of(after, type), of(before, type)];
    if (now.length > then.length)
      causes.push(forbiddenField(CONDITIONS, `updates may not add a condition of type "${type}"`));
    else if (now.length === then.length && !same(now, then))
      causes.push(forbiddenField(CONDITIONS, `updates may not modify a condition of type "${type}"`));
  }
  const [now = "", then = ""] = [after.status?.certificate, before.status?.certificate];
  if (now !== then && !allowed.certificate)
    causes.push(forbiddenField("status.certificate", "updates may not set certificate content"));
  else if (now !== then && then !== "")
    causes.push(forbiddenField("status.certificate", "updates may not modify existing certificate content"));
  return causes;
}

/** Times that the sender left out: when a condition was last touched, and since when it holds. */
function stampConditions(next: CertificateSigningRequest, old: CertificateSigningRequest, now: string): void {
  for (const condition of conditionsOf(next)) {
    condition.lastUpdateTime ??= now;
    const same = conditionsOf(old).find((c) => c.type === condition.type && c.status === condition.status);
    condition.lastTransitionTime ??= same?.lastTransitionTime ?? now;
  }
}

function keepSpec(next: DynamicObject, old: DynamicObject): void {
  next["spec"] = structuredClone(old["spec"]);
}

const statusOf: ViewStrategy = {
  prepareForUpdate(next, old, context) {
    keepSpec(next, old);
    const [after, before] = [as<CertificateSigningRequest>(next), as<CertificateSigningRequest>(old)];
    for (const type of DECISIONS) {
      const kept = conditionsOf(before).filter((c) => c.type === type);
      const indexes = conditionsOf(after).flatMap((c, i) => (c.type === type ? [i] : []));
      if (kept.length === indexes.length)
        indexes.forEach((index, i) => void Object.assign(conditionsOf(after), { [index]: structuredClone(kept[i]) }));
    }
    stampConditions(after, before, timeText(context.now));
  },
  validateUpdate: (next, old) => validateChange(next, old, { decisions: false, certificate: true }),
};

const approval: ViewStrategy = {
  prepareForUpdate(next, old, context) {
    keepSpec(next, old);
    const [after, before] = [as<CertificateSigningRequest>(next), as<CertificateSigningRequest>(old)];
    stampConditions(after, before, timeText(context.now));
    after.status = { ...structuredClone(before.status), conditions: conditionsOf(after) };
  },
  validateUpdate: (next, old) => validateChange(next, old, { decisions: true, certificate: false }),
};

function writeAsker(csr: CertificateSigningRequest, { user }: RequestContext): void {
  if (!csr.spec) return;
  const { username: _n, uid: _u, groups: _g, extra: _e, ...spec } = csr.spec;
  csr.spec = {
    ...spec,
    username: user.name,
    ...(user.uid ? { uid: user.uid } : {}),
    ...(user.groups.length > 0 ? { groups: [...user.groups] } : {}),
    ...(user.extra && Object.keys(user.extra).length > 0
      ? { extra: Object.fromEntries(Object.entries(user.extra).map(([k, v]) => [k, [...v]])) }
      : {}),
  };
  csr.status = {};
}

export const certificateSigningRequestStrategy = (facts: ResourceFacts): Strategy =>
  genericStrategy(facts, {
    generation: false,
    validateName: () => [],
    applyDefaults(object) {
      const csr = as<CertificateSigningRequest>(object);
      csr.spec ??= {} as NonNullable<CertificateSigningRequest["spec"]>;
    },
    prepareForCreate: (object, context) => writeAsker(as<CertificateSigningRequest>(object), context),
    prepareForUpdate: keepSpec,
    validate: (object) => validate(as<CertificateSigningRequest>(object)),
    validateUpdate: (next, old) => validateChange(next, old, { decisions: false, certificate: false }),
    fieldNames: ["spec.signerName"],
    fields: (object) => ({ "spec.signerName": as<CertificateSigningRequest>(object).spec?.signerName ?? "" }),
    views: { status: statusOf, approval },
  });
