/** Validation of pod specs with upstream's messages (pkg/apis/core/validation): the fields that people get wrong. */
import type { Container, ContainerPort, EnvVar, PodSpec, Probe, Toleration, Volume } from "#sdk/api/generated/types.ts";
import { validateLabels } from "#sdk/api/labels.ts";
import {
  isDNS1123Label,
  isDNS1123Subdomain,
  isEnvVarName,
  isInRange,
  isLabelValue,
  isPortName,
  isQualifiedName,
} from "#sdk/api/names.ts";
import { compareQuantities, parseQuantity } from "#sdk/api/quantity.ts";
import {
  type Causes,
  duplicate,
  forbiddenField,
  invalidValue,
  notFoundValue,
  notSupported,
  notSupportedInOrder,
  required,
} from "../../../registry/causes.ts";
import { oneOf } from "../../checks.ts";
import { validateContainerResourceName } from "../../resourceNames.ts";
import { HOST_PATH_TYPES } from "../persistentvolumes/validation.ts";
import { validateContainerSecurity, validateHostUsers, validatePodSecurity } from "./security.ts";
import { validateHostname, validateHostPorts, validatePlacement, validateRest } from "./settings.ts";

const PULL_POLICIES = ["Always", "IfNotPresent", "Never"];
const PROTOCOLS = ["TCP", "UDP", "SCTP"];
const MESSAGE_POLICIES = ["FallbackToLogsOnError", "File"];
const RESTART_POLICIES = ["Always", "Never", "OnFailure"];
const DNS_POLICIES = ["ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"];
const ENV_FIELDS = new Set([
  "metadata.name",
  "metadata.namespace",
  "metadata.uid",
  "spec.nodeName",
  "spec.serviceAccountName",
  "status.hostIP",
  "status.hostIPs",
  "status.podIP",
  "status.podIPs",
]);

const each = (messages: string[], field: string, value: unknown): Causes =>
  messages.map((m) => invalidValue(field, value, m));
const nonNegative = (value: number | undefined, field: string): Causes =>
  value !== undefined && value < 0 ? [invalidValue(field, value, "must be greater than or equal to 0")] : [];

function validateName(name: string | undefined, field: string, seen: Set<string>): Causes {
  if (!name) return [required(field)];
  const causes = each(isDNS1123Label(name), field, name);
  if (causes.length === 0 && seen.has(name)) causes.push(duplicate(field, name));
  seen.add(name);
  return causes;
}

function validatePorts(ports: readonly ContainerPort[], path: string): Causes {
  const causes: Causes = [];
  const names = new Set<string>();
  for (const [i, port] of ports.entries()) {
    const at = `${path}[${i}]`;
    if (port.name) {
      const wrong = isPortName(port.name);
      causes.push(...each(wrong, `${at}.name`, port.name));
      if (wrong.length === 0 && names.has(port.name)) causes.push(duplicate(`${at}.name`, port.name));
      names.add(port.name);
    }
    if (!port.containerPort) causes.push(required(`${at}.containerPort`));
    else causes.push(...each(isInRange(port.containerPort, 1, 65535), `${at}.containerPort`, port.containerPort));
    if (port.hostPort) causes.push(...each(isInRange(port.hostPort, 1, 65535), `${at}.hostPort`, port.hostPort));
    if (!port.protocol) causes.push(required(`${at}.protocol`));
    else if (!PROTOCOLS.includes(port.protocol)) causes.push(notSupported(`${at}.protocol`, port.protocol, PROTOCOLS));
  }
  return causes;
}

function fieldPathKnown(path: string): boolean {
  return ENV_FIELDS.has(path) || /^metadata\.(annotations|labels)\['[^']+'\]$/.test(path);
}

function validateEnv(env: readonly EnvVar[], path: string): Causes {
  const causes: Causes = [];
  for (const [i, { name, value, valueFrom }] of env.entries()) {
    const at = `${path}[${i}]`;
    if (!name) causes.push(required(`${at}.name`));
    else causes.push(...each(isEnvVarName(name), `${at}.name`, name));
    if (!valueFrom) continue;
    const sources = Object.keys(valueFrom);
    const from = `${at}.valueFrom`;
    if (sources.length === 0) {
      causes.push(
        invalidValue(
          from,
          "",
          "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`",
        ),
      );
    } else if (value) causes.push(invalidValue(from, "", "may not be specified when `value` is not empty"));
    else if (sources.length > 1)
      causes.push(invalidValue(from, "", "may not have more than one field specified at a time"));
    if (valueFrom.fieldRef) {
      const { fieldPath } = valueFrom.fieldRef;
      const field = `${from}.fieldRef.fieldPath`;
      if (!fieldPath) causes.push(required(field));
      else if (!fieldPathKnown(fieldPath)) {
        causes.push(
          invalidValue(field, fieldPath, `error converting fieldPath: field label not supported: ${fieldPath}`),
        );
      }
    }
    for (const source of ["configMapKeyRef", "secretKeyRef"] as const) {
      const ref = valueFrom[source];
      if (!ref) continue;
      if (!ref.name) causes.push(required(`${from}.${source}.name`));
      if (!ref.key) causes.push(required(`${from}.${source}.key`));
    }
  }
  return causes;
}

function validatePort(port: number | string | undefined, field: string): Causes {
  if (typeof port === "string") return each(isPortName(port), field, port);
  return each(isInRange(port ?? 0, 1, 65535), field, port ?? 0);
}

type Handler = Pick<Probe, "exec" | "httpGet" | "tcpSocket" | "grpc">;

function validateHandler(handler: Handler, path: string): Causes {
  const kinds = (["exec", "httpGet", "tcpSocket", "grpc"] as const).filter((k) => handler[k] !== undefined);
  const sleeps = "sleep" in handler && handler.sleep !== undefined;
  if (kinds.length === 0 && !sleeps) return [required(path, "must specify a handler type")];
  const causes: Causes = kinds
    .slice(1)
    .map((k) => forbiddenField(`${path}.${k}`, "may not specify more than 1 handler type"));
  if (handler.exec && !handler.exec.command?.length) causes.push(required(`${path}.exec.command`));
  if (handler.httpGet) {
    if (!handler.httpGet.path) causes.push(required(`${path}.httpGet.path`));
    causes.push(...validatePort(handler.httpGet.port, `${path}.httpGet.port`));
    const scheme = handler.httpGet.scheme ?? "";
    if (scheme !== "HTTP" && scheme !== "HTTPS")
      causes.push(notSupported(`${path}.httpGet.scheme`, scheme, ["HTTP", "HTTPS"]));
  }
  if (handler.tcpSocket) causes.push(...validatePort(handler.tcpSocket.port, `${path}.tcpSocket.port`));
  if (handler.grpc) causes.push(...validatePort(handler.grpc.port, `${path}.grpc.port`));
  return causes;
}

function validateProbe(probe: Probe | undefined, path: string, onceOnly: boolean): Causes {
  if (!probe) return [];
  const causes = validateHandler(probe, path);
  for (const field of [
    "initialDelaySeconds",
    "timeoutSeconds",
    "periodSeconds",
    "successThreshold",
    "failureThreshold",
  ] as const) {
    causes.push(...nonNegative(probe[field], `${path}.${field}`));
  }
  if (onceOnly && (probe.successThreshold ?? 1) !== 1) {
    causes.push(invalidValue(`${path}.successThreshold`, probe.successThreshold, "must be 1"));
  }
  return causes;
}

export function validateResources(container: Pick<Container, "resources">, path: string): Causes {
  const { requests = {}, limits = {} } = container.resources ?? {};
  const causes: Causes = [];
  const name = (resource: string, field: string) => {
    causes.push(...validateContainerResourceName(resource, field));
  };
  for (const [kind, list] of [
    ["limits", limits],
    ["requests", requests],
  ] as const) {
    for (const [resource, amount] of Object.entries(list ?? {})) {
      const field = `${path}.${kind}[${resource}]`;
      name(resource, kind === "limits" ? `${path}.limits[${resource}]` : field);
      if (parseQuantity(String(amount)).nano < 0n)
        causes.push(invalidValue(field, String(amount), "must be greater than or equal to 0"));
    }
  }
  for (const [resource, amount] of Object.entries(requests ?? {})) {
    const limit = limits?.[resource];
    if (limit === undefined) continue;
    const order = compareQuantities(parseQuantity(String(amount)), parseQuantity(String(limit)));
    const field = `${path}.requests`;
    if (order > 0)
      causes.push(invalidValue(field, String(amount), `must be less than or equal to ${resource} limit of ${limit}`));
    else if (order !== 0 && (resource.startsWith("hugepages-") || resource.includes("/"))) {
      causes.push(invalidValue(field, String(amount), `must be equal to ${resource} limit of ${limit}`));
    }
  }
  return causes;
}

function validateMounts(container: Container, path: string, volumes: ReadonlySet<string>): Causes {
  const causes: Causes = [];
  const paths = new Set<string>();
  for (const [i, mount] of (container.volumeMounts ?? []).entries()) {
    const at = `${path}.volumeMounts[${i}]`;
    if (!mount.name) causes.push(required(`${at}.name`));
    else if (!volumes.has(mount.name)) causes.push(notFoundValue(`${at}.name`, mount.name));
    if (!mount.mountPath) causes.push(required(`${at}.mountPath`));
    if (mount.mountPath && paths.has(mount.mountPath))
      causes.push(invalidValue(`${at}.mountPath`, mount.mountPath, "must be unique"));
    paths.add(mount.mountPath);
    if (mount.subPath?.split("/").includes(".."))
      causes.push(invalidValue(`${at}.subPath`, mount.subPath, "must not contain '..'"));
  }
  return causes;
}

export function validateContainer(
  container: Container,
  path: string,
  volumes: ReadonlySet<string>,
  names: Set<string>,
  init: boolean,
): Causes {
  const causes = validateName(container.name, `${path}.name`, names);
  if (!container.image) causes.push(required(`${path}.image`));
  else if (container.image !== container.image.trim()) {
    causes.push(invalidValue(`${path}.image`, container.image, "must not have leading or trailing whitespace"));
  }
  const sidecar = init && container.restartPolicy === "Always";
  if (!init || sidecar) {
    causes.push(...validateProbe(container.livenessProbe, `${path}.livenessProbe`, true));
    causes.push(...validateProbe(container.readinessProbe, `${path}.readinessProbe`, false));
    causes.push(...validateProbe(container.startupProbe, `${path}.startupProbe`, true));
    for (const hook of ["postStart", "preStop"] as const) {
      const handler = container.lifecycle?.[hook];
      if (handler) causes.push(...validateHandler(handler, `${path}.lifecycle.${hook}`));
    }
  } else {
    for (const probe of ["livenessProbe", "readinessProbe", "startupProbe", "lifecycle"] as const) {
      if (container[probe])
        causes.push(
          forbiddenField(`${path}.${probe}`, "may not be set for init containers without restartPolicy=Always"),
        );
    }
  }
  const policy = container.terminationMessagePolicy;
  if (policy && !MESSAGE_POLICIES.includes(policy))
    causes.push(notSupported(`${path}.terminationMessagePolicy`, policy, MESSAGE_POLICIES));
  causes.push(...validatePorts(container.ports ?? [], `${path}.ports`));
  causes.push(...validateEnv(container.env ?? [], `${path}.env`));
  causes.push(...validateMounts(container, path, volumes));
  const pull = container.imagePullPolicy;
  if (pull && !PULL_POLICIES.includes(pull)) causes.push(notSupported(`${path}.imagePullPolicy`, pull, PULL_POLICIES));
  causes.push(...validateResources(container, `${path}.resources`));
  return causes;
}

const NAMED_SOURCES = {
  configMap: "name",
  secret: "secretName",
  persistentVolumeClaim: "claimName",
  hostPath: "path",
} as const;

export function validateVolumes(volumes: readonly Volume[], path: string): { causes: Causes; names: Set<string> } {
  const causes: Causes = [];
  const names = new Set<string>();
  for (const [i, volume] of volumes.entries()) {
    const at = `${path}[${i}]`;
    causes.push(...validateName(volume.name, `${at}.name`, names));
    const sources = Object.keys(volume).filter((k) => k !== "name");
    for (const extra of sources.slice(1))
      causes.push(forbiddenField(`${at}.${extra}`, "may not specify more than 1 volume type"));
    for (const [source, field] of Object.entries(NAMED_SOURCES)) {
      const value = (volume as unknown as Record<string, Record<string, string> | undefined>)[source];
      if (value && !value[field]) causes.push(required(`${at}.${source}.${field}`));
    }
    const { hostPath } = volume;
    if (hostPath?.path?.split("/").includes(".."))
      causes.push(invalidValue(`${at}.hostPath.path`, hostPath.path, "must not contain '..'"));
    if (hostPath?.path) causes.push(...oneOf(hostPath.type, `${at}.hostPath.type`, HOST_PATH_TYPES));
  }
  return { causes, names };
}

const TOLERATION_OPERATORS = ["Equal", "Exists"];
const COMPARING_OPERATORS = [...TOLERATION_OPERATORS, "Lt", "Gt"];
const TAINT_EFFECTS = ["NoSchedule", "PreferNoSchedule", "NoExecute"];

export function validateTolerations(tolerations: readonly Toleration[], path: string): Causes {
  const causes: Causes = [];
  for (const [i, t] of tolerations.entries()) {
    const at = `${path}[${i}]`;
    if (t.key) causes.push(...each(isQualifiedName(t.key), `${at}.key`, t.key));
    if (!t.key && t.operator !== "Exists") {
      causes.push(
        invalidValue(
          `${at}.operator`,
          t.operator ?? "",
          'operator must be Exists when `key` is empty, which means "match all values and all keys"',
        ),
      );
    }
    if (t.tolerationSeconds !== undefined && t.effect !== "NoExecute") {
      causes.push(
        invalidValue(`${at}.effect`, t.effect ?? "", "effect must be 'NoExecute' when `tolerationSeconds` is set"),
      );
    }
    const { operator = "", value = "" } = t;
    if (operator === "" || operator === "Equal") {
      const wrong = isLabelValue(value);
      if (wrong.length > 0) causes.push(invalidValue(`${at}.operator`, value, wrong.join(";")));
    } else if (operator === "Exists") {
      if (value) causes.push(invalidValue(`${at}.operator`, value, "value must be empty when `operator` is 'Exists'"));
    } else {
      // Comparisons are told of where they are asked for, and then refused: their feature is off.
      const known = operator === "Lt" || operator === "Gt" ? COMPARING_OPERATORS : TOLERATION_OPERATORS;
      causes.push(notSupportedInOrder(`${at}.operator`, operator, known));
    }
    if (t.effect && !TAINT_EFFECTS.includes(t.effect))
      causes.push(notSupportedInOrder(`${at}.effect`, t.effect, TAINT_EFFECTS));
  }
  return causes;
}

/** `path` is "spec" for a pod and "spec.template.spec" for a template. */
export function validatePodSpec(spec: PodSpec, path: string): Causes {
  const volumes = validateVolumes(spec.volumes ?? [], `${path}.volumes`);
  const causes = volumes.causes;
  const names = new Set<string>();
  if (!spec.containers?.length) causes.push(required(`${path}.containers`));
  for (const [i, c] of (spec.containers ?? []).entries()) {
    causes.push(...validateContainer(c, `${path}.containers[${i}]`, volumes.names, names, false));
    causes.push(...validateContainerSecurity(c.securityContext, `${path}.containers[${i}]`, spec.hostUsers !== false));
  }
  for (const [i, c] of (spec.initContainers ?? []).entries()) {
    causes.push(...validateContainer(c, `${path}.initContainers[${i}]`, volumes.names, names, true));
    causes.push(
      ...validateContainerSecurity(c.securityContext, `${path}.initContainers[${i}]`, spec.hostUsers !== false),
    );
  }
  const oneOf = (field: "restartPolicy" | "dnsPolicy", values: string[]) => {
    const value = spec[field];
    if (!value) causes.push(required(`${path}.${field}`));
    else if (!values.includes(value)) causes.push(notSupported(`${path}.${field}`, value, values));
  };
  causes.push(...validateHostPorts(spec, path));
  oneOf("restartPolicy", RESTART_POLICIES);
  oneOf("dnsPolicy", DNS_POLICIES);
  causes.push(
    ...validateLabels(spec.nodeSelector, `${path}.nodeSelector`),
    ...validatePodSecurity(spec, path),
    ...validatePlacement(spec, path),
    ...validateHostUsers(spec, path),
    ...validateHostname(spec, path),
  );
  causes.push(...nonNegative(spec.terminationGracePeriodSeconds, `${path}.terminationGracePeriodSeconds`));
  if (spec.activeDeadlineSeconds !== undefined) {
    causes.push(
      ...each(
        isInRange(spec.activeDeadlineSeconds, 1, 2 ** 31 - 1),
        `${path}.activeDeadlineSeconds`,
        spec.activeDeadlineSeconds,
      ),
    );
  }
  for (const field of ["serviceAccountName", "nodeName", "priorityClassName"] as const) {
    const value = spec[field];
    if (value) causes.push(...each(isDNS1123Subdomain(value), `${path}.${field}`, value));
  }
  for (const field of ["hostname", "subdomain"] as const) {
    const value = spec[field];
    if (value) causes.push(...each(isDNS1123Label(value), `${path}.${field}`, value));
  }
  causes.push(...validateTolerations(spec.tolerations ?? [], `${path}.tolerations`), ...validateRest(spec, path));
  return causes;
}
