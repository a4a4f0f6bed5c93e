/** Tables of the networking and discovery groups. */
import type {
  EndpointSlice,
  Ingress,
  IngressClass,
  IPAddress,
  NetworkPolicy,
  ServiceCIDR,
} from "#sdk/api/generated/types.ts";
import { loadBalancerText } from "./core.ts";
import { listWithMore, NONE, selectorText, since, UNSET } from "./format.ts";
import { AGE, NAME, nameOf, printer, text } from "./printer.ts";

export const endpointSlices = printer<EndpointSlice>({
  columns: [NAME, ...text("AddressType", "Ports", "Endpoints"), AGE],
  cells: (o, now) => [
    nameOf(o),
    o.addressType ?? "",
    listWithMore(
      (o.ports ?? []).map((p) => String(p.port ?? p.name ?? "*")),
      3,
      UNSET,
    ),
    listWithMore(
      (o.endpoints ?? []).flatMap((e) => e.addresses ?? []),
      3,
      UNSET,
    ),
    since(o.metadata.creationTimestamp, now),
  ],
});

export const ingresses = printer<Ingress>({
  columns: [NAME, ...text("Class", "Hosts", "Address", "Ports"), AGE],
  cells(o, now) {
    const rules = o.spec?.rules ?? [];
    const named = rules.map((rule) => rule.host ?? "").filter((host) => host !== "");
    // Upstream says how many rules there are beyond three once three hosts are shown, whether those name hosts or not.
    const third = rules.findIndex((_, i) => rules.slice(0, i + 1).filter((rule) => rule.host).length === 3);
    const more = third >= 0 && third < rules.length - 1 ? ` + ${rules.length - 3} more...` : "";
    return [
      nameOf(o),
      o.spec?.ingressClassName ?? NONE,
      named.length === 0 ? "*" : `${named.slice(0, 3).join(",")}${more}`,
      loadBalancerText(o.status?.loadBalancer?.ingress),
      o.spec?.tls?.length ? "80, 443" : "80",
      since(o.metadata.creationTimestamp, now),
    ];
  },
});

export const ingressClasses = printer<IngressClass>({
  columns: [NAME, ...text("Controller", "Parameters"), AGE],
  cells(o, now) {
    const isDefault = o.metadata.annotations?.["ingressclass.kubernetes.io/is-default-class"] === "true";
    const parameters = o.spec?.parameters;
    const group = parameters?.apiGroup === undefined ? "" : `.${parameters.apiGroup}`;
    return [
      `${nameOf(o)}${isDefault ? " (default)" : ""}`,
      o.spec?.controller ?? "",
      parameters ? `${parameters.kind}${group}/${parameters.name}` : NONE,
      since(o.metadata.creationTimestamp, now),
    ];
  },
});

export const networkPolicies = printer<NetworkPolicy>({
  columns: [NAME, ...text("Pod-Selector"), AGE],
  cells: (o, now) => [
    nameOf(o),
    selectorText(o.spec?.podSelector, NONE, "<error>"),
    since(o.metadata.creationTimestamp, now),
  ],
});

export const serviceCIDRs = printer<ServiceCIDR>({
  columns: [NAME, ...text("CIDRs"), AGE],
  cells: (o, now) => [nameOf(o), (o.spec?.cidrs ?? []).join(","), since(o.metadata.creationTimestamp, now)],
});

export const ipAddresses = printer<IPAddress>({
  columns: [NAME, ...text("ParentRef"), AGE],
  cells(o, now) {
    const parent = o.spec?.parentRef;
    const resource = parent && `${parent.resource ?? ""}${parent.group ? `.${parent.group}` : ""}`.toLowerCase();
    const path = [resource, parent?.namespace, parent?.name].filter(Boolean).join("/");
    return [nameOf(o), path || NONE, since(o.metadata.creationTimestamp, now)];
  },
});
