/** Tables of bindings, certificates, admission, flow control and aggregation. */
import type {
  APIService,
  CertificateSigningRequest,
  ClusterRoleBinding,
  FlowSchema,
  MutatingWebhookConfiguration,
  PriorityLevelConfiguration,
  RoleBinding,
  ValidatingAdmissionPolicy,
  ValidatingAdmissionPolicyBinding,
} from "#sdk/api/generated/types.ts";
import { humanDuration, NONE, since, UNSET } from "./format.ts";
import { AGE, integer, NAME, nameOf, printer, text, wide } from "./printer.ts";

export const bindings = printer<RoleBinding | ClusterRoleBinding>({
  columns: [NAME, ...text("Role"), AGE, ...wide("Users", "Groups", "ServiceAccounts")],
  cells(o, now) {
    const names = (kind: string) => (o.subjects ?? []).filter((s) => s.kind === kind);
    return [
      nameOf(o),
      `${o.roleRef?.kind ?? ""}/${o.roleRef?.name ?? ""}`,
      since(o.metadata.creationTimestamp, now),
      names("User")
        .map((s) => s.name)
        .join(", "),
      names("Group")
        .map((s) => s.name)
        .join(", "),
      names("ServiceAccount")
        .map((s) => `${s.namespace ?? ""}/${s.name}`)
        .join(", "),
    ];
  },
});

function csrStatus({ status }: CertificateSigningRequest): string {
  const has = (type: string) => status?.conditions?.some((condition) => condition.type === type);
  const decided = has("Denied") ? "Denied" : has("Approved") ? "Approved" : "Pending";
  return `${decided}${has("Failed") ? ",Failed" : ""}${status?.certificate ? ",Issued" : ""}`;
}

export const certificateSigningRequests = printer<CertificateSigningRequest>({
  columns: [NAME, AGE, ...text("SignerName", "Requestor", "RequestedDuration", "Condition")],
  cells: (o, now) => [
    nameOf(o),
    since(o.metadata.creationTimestamp, now),
    o.spec?.signerName || NONE,
    o.spec?.username ?? "",
    o.spec?.expirationSeconds === undefined ? NONE : humanDuration(o.spec.expirationSeconds * 1000),
    csrStatus(o),
  ],
});

export const webhookConfigurations = printer<MutatingWebhookConfiguration>({
  columns: [NAME, ...integer("Webhooks"), AGE],
  cells: (o, now) => [nameOf(o), o.webhooks?.length ?? 0, since(o.metadata.creationTimestamp, now)],
});

export const validatingAdmissionPolicies = printer<ValidatingAdmissionPolicy>({
  columns: [NAME, ...integer("Validations"), ...text("ParamKind"), AGE],
  cells(o, now) {
    const kind = o.spec?.paramKind;
    return [
      nameOf(o),
      o.spec?.validations?.length ?? 0,
      kind ? `${kind.apiVersion ?? ""}/${kind.kind ?? ""}` : UNSET,
      since(o.metadata.creationTimestamp, now),
    ];
  },
});

export const validatingAdmissionPolicyBindings = printer<ValidatingAdmissionPolicyBinding>({
  columns: [NAME, ...text("PolicyName", "ParamRef"), AGE],
  cells(o, now) {
    const ref = o.spec?.paramRef;
    const param = ref ? (ref.namespace ? `${ref.namespace}/${ref.name ?? ""}` : `*/${ref.name ?? ""}`) : UNSET;
    return [nameOf(o), o.spec?.policyName ?? "", param, since(o.metadata.creationTimestamp, now)];
  },
});

export const flowSchemas = printer<FlowSchema>({
  columns: [NAME, ...text("PriorityLevel", "MatchingPrecedence", "DistinguisherMethod"), AGE, ...text("MissingPL")],
  cells: (o, now) => [
    nameOf(o),
    o.spec?.priorityLevelConfiguration.name ?? "",
    o.spec?.matchingPrecedence ?? 0,
    o.spec?.distinguisherMethod?.type ?? NONE,
    since(o.metadata.creationTimestamp, now),
    o.status?.conditions?.find((condition) => condition.type === "Dangling")?.status ?? "?",
  ],
});

export const priorityLevelConfigurations = printer<PriorityLevelConfiguration>({
  columns: [NAME, ...text("Type", "NominalConcurrencyShares", "Queues", "HandSize", "QueueLengthLimit"), AGE],
  cells(o, now) {
    const limited = o.spec?.limited;
    const queuing = limited?.limitResponse?.queuing;
    return [
      nameOf(o),
      o.spec?.type ?? "",
      limited?.nominalConcurrencyShares ?? NONE,
      queuing?.queues ?? NONE,
      queuing?.handSize ?? NONE,
      queuing?.queueLengthLimit ?? NONE,
      since(o.metadata.creationTimestamp, now),
    ];
  },
});

export const apiServices = printer<APIService>({
  columns: [NAME, ...text("Service", "Available"), AGE],
  cells(o, now) {
    const service = o.spec?.service;
    const available = o.status?.conditions?.find((condition) => condition.type === "Available");
    const why = available && available.status !== "True" && available.reason ? ` (${available.reason})` : "";
    return [
      nameOf(o),
      service ? `${service.namespace ?? ""}/${service.name ?? ""}` : "Local",
      available ? `${available.status}${why}` : "Unknown",
      since(o.metadata.creationTimestamp, now),
    ];
  },
});
