/** Validation of containers of all three kinds (validateContainers, validateInitContainers, validateEphemeralContainers). */
import type {
  Container,
  ContainerPort,
  ContainerRestartRule,
  EphemeralContainer,
  PodSpec,
} from "#sdk/api/generated/types.ts";
import { isDNS1123Label, isPortName, isPortNumber } from "#sdk/api/names.ts";
import {
  type Causes,
  duplicate,
  forbiddenField,
  invalidValue,
  notFoundValue,
  notSupportedInOrder,
  required,
  tooMany,
} from "../../../registry/causes.ts";
import { chosen, each, oneOf } from "../../checks.ts";
import { validateEnv, validateEnvFrom } from "./env.ts";
import { type PodVolumes, validateDevices, validateMounts } from "./mounts.ts";
import { validateLifecycle, validateProbe } from "./probes.ts";
import { validateContainerResources, validateResizePolicy } from "./resources.ts";
import { validateContainerSecurity } from "./security.ts";

const PULL_POLICIES = ["Always", "IfNotPresent", "Never"];
const PROTOCOLS = ["SCTP", "TCP", "UDP"];
const MESSAGE_POLICIES = ["File", "FallbackToLogsOnError"];
const RESTART_POLICIES = ["Always", "Never", "OnFailure"];
const RESTART_ACTIONS = ["Restart", "RestartAllContainers"];
const RESTART_RULES_MAX = 20;
const EXIT_CODES_MAX = 255;
const PROBES = ["livenessProbe", "readinessProbe", "startupProbe"] as const;

export const validatePullPolicy = (policy: string | undefined, field: string): Causes =>
  chosen(policy, field, PULL_POLICIES);

/** What containers are checked against. A stored spec without containers has null for them, as Go writes it. */
export interface ContainerContext {
  spec: PodSpec;
  volumes: PodVolumes;
  claims: ReadonlySet<string>;
  /** Amounts of huge pages that are no multiple of a page are left to pods that have had them. */
  oddHugePages: boolean;
  /** An init container that ends may keep a policy that asks for its restart, which it never had use for. */
  initRestarts: boolean;
}

function validatePorts(ports: readonly ContainerPort[], path: string): Causes {
  const names = new Set<string>();
  return ports.flatMap(({ name, containerPort = 0, hostPort = 0, protocol }, i) => {
    const at = `${path}[${i}]`;
    const causes: Causes = [];
    if (name) {
      const wrong = isPortName(name);
      causes.push(...each(wrong, `${at}.name`, name));
      if (wrong.length === 0 && names.has(name)) causes.push(duplicate(`${at}.name`, name));
      if (wrong.length === 0) names.add(name);
    }
    if (containerPort === 0) causes.push(required(`${at}.containerPort`));
    else causes.push(...each(isPortNumber(containerPort), `${at}.containerPort`, containerPort));
    if (hostPort !== 0) causes.push(...each(isPortNumber(hostPort), `${at}.hostPort`, hostPort));
    return [...causes, ...chosen(protocol, `${at}.protocol`, PROTOCOLS)];
  });
}

/** What all kinds of containers have. */
function validateCommon(container: Container, path: string, context: ContainerContext): Causes {
  const { name, image, terminationMessagePolicy: message } = container;
  const { spec, volumes, claims } = context;
  const messageField = `${path}.terminationMessagePolicy`;
  const causes = name ? each(isDNS1123Label(name), `${path}.name`, name) : [required(`${path}.name`)];
  if (!image) causes.push(required(`${path}.image`));
  if (!message) causes.push(required(messageField));
  else if (!MESSAGE_POLICIES.includes(message))
    causes.push(notSupportedInOrder(messageField, message, MESSAGE_POLICIES));
  return [
    ...causes,
    ...validatePorts(container.ports ?? [], `${path}.ports`),
    ...validateEnv(container.env ?? [], `${path}.env`),
    ...validateEnvFrom(container.envFrom ?? [], `${path}.envFrom`),
    ...validateMounts(container, `${path}.volumeMounts`, volumes),
    ...validateDevices(container, `${path}.volumeDevices`, volumes),
    ...validatePullPolicy(container.imagePullPolicy, `${path}.imagePullPolicy`),
    ...validateContainerResources(container.resources, `${path}.resources`, claims, context.oddHugePages),
    ...validateResizePolicy(container.resizePolicy ?? [], `${path}.resizePolicy`, spec.restartPolicy),
    ...validateContainerSecurity(container.securityContext, path, spec.hostUsers !== false),
  ];
}

function validateRestartRule({ action = "", exitCodes }: ContainerRestartRule, at: string): Causes {
  const causes = oneOf(action, `${at}.action`, RESTART_ACTIONS);
  if (!exitCodes) return [...causes, required(`${at}.exitCodes`, "must be specified")];
  const { operator = "", values = [] } = exitCodes;
  causes.push(...oneOf(operator, `${at}.exitCodes.operator`, ["In", "NotIn"]));
  if (values.length > EXIT_CODES_MAX) causes.push(tooMany(`${at}.exitCodes.values`, values.length, EXIT_CODES_MAX));
  return causes;
}

/** A container's own policy, which the pod's gives way to (KEP-5307). */
function validateRestart({ restartPolicy, restartPolicyRules: rules = [] }: Container, path: string): Causes {
  const field = `${path}.restartPolicy`;
  const causes = oneOf(restartPolicy, field, RESTART_POLICIES);
  if (restartPolicy === undefined) {
    if (rules.length === 0) return [];
    causes.push(required(field, "must specify restartPolicy when restart rules are used"));
  }
  if (rules.length > RESTART_RULES_MAX)
    causes.push(tooMany(`${path}.restartPolicyRules`, rules.length, RESTART_RULES_MAX));
  return [...causes, ...rules.flatMap((rule, i) => validateRestartRule(rule, `${path}.restartPolicyRules[${i}]`))];
}

const validateLife = (container: Container, path: string, grace: number | undefined): Causes => [
  ...(container.lifecycle ? validateLifecycle(container.lifecycle, grace, `${path}.lifecycle`) : []),
  ...PROBES.flatMap((kind) => validateProbe(container[kind], kind, `${path}.${kind}`)),
];

/** Each port of the host for one container. */
function hostPortConflicts(containers: readonly Container[], path: string): Causes {
  const taken = new Set<string>();
  return containers.flatMap(({ ports = [] }, i) =>
    ports.flatMap(({ protocol = "", hostIP = "", hostPort }, j) => {
      if (!hostPort) return [];
      const port = `${protocol}/${hostIP}/${hostPort}`;
      if (taken.has(port)) return [duplicate(`${path}[${i}].ports[${j}].hostPort`, port)];
      taken.add(port);
      return [];
    }),
  );
}

export function validateContainers(context: ContainerContext, path: string): Causes {
  const { terminationGracePeriodSeconds: grace } = context.spec;
  const containers = context.spec.containers ?? [];
  if (containers.length === 0) return [required(path)];
  const names = new Set<string>();
  const causes = containers.flatMap((container, i) => {
    const at = `${path}[${i}]`;
    const { name = "" } = container;
    const own = validateCommon(container, at, context);
    if (names.has(name)) own.push(duplicate(`${at}.name`, name));
    names.add(name);
    return [...own, ...validateLife(container, at, grace), ...validateRestart(container, at)];
  });
  return [...causes, ...hostPortConflicts(containers, path)];
}

function validateInitRestart(container: Container, path: string, { initRestarts }: ContainerContext): Causes {
  const { restartPolicy, restartPolicyRules: rules = [] } = container;
  // Without a policy its rules are not looked at any further, as those of other containers are.
  const missing = required(`${path}.restartPolicy`, "must specify restartPolicy when restart rules are used");
  const causes = restartPolicy !== undefined ? validateRestart(container, path) : rules.length > 0 ? [missing] : [];
  if (restartPolicy === "Always" || initRestarts) return causes;
  const detail = "must not be set to 'RestartContainer' for non-sidecar initContainers";
  for (const [i, { restartPolicy: asked }] of (container.resizePolicy ?? []).entries())
    if (asked === "RestartContainer")
      causes.push(invalidValue(`${path}.resizePolicy[${i}].restartPolicy`, asked, detail));
  return causes;
}

export function validateInitContainers(context: ContainerContext, path: string): Causes {
  const { containers, initContainers = [], terminationGracePeriodSeconds: grace } = context.spec;
  const names = new Set((containers ?? []).map((c) => c.name ?? ""));
  return initContainers.flatMap((container, i) => {
    const at = `${path}[${i}]`;
    const { name = "" } = container;
    const causes = [...validateCommon(container, at, context), ...validateInitRestart(container, at, context)];
    if (names.has(name)) causes.push(duplicate(`${at}.name`, name));
    else if (name) names.add(name);
    // Upstream looks at each alone, and tells of it where the first stands.
    causes.push(...hostPortConflicts([container], path));
    if (container.restartPolicy === "Always") return [...causes, ...validateLife(container, at, grace)];
    const detail = "may not be set for init containers without restartPolicy=Always";
    const set = (["lifecycle", ...PROBES] as const).filter((field) => container[field] !== undefined);
    return [...causes, ...set.map((field) => forbiddenField(`${at}.${field}`, detail))];
  });
}

/** What only containers that live as long as their pod have. */
const NOT_EPHEMERAL = [
  "ports",
  "resources",
  "restartPolicy",
  "restartPolicyRules",
  "resizePolicy",
  "livenessProbe",
  "readinessProbe",
  "startupProbe",
  "lifecycle",
] as const;

const isSet = (value: unknown): boolean =>
  value !== undefined && !(typeof value === "object" && value !== null && Object.keys(value).length === 0);

function validateEphemeral(container: EphemeralContainer, at: string): Causes {
  const detail = "cannot be set for an Ephemeral Container";
  // An empty list or map of resources is nothing; an empty probe is one.
  const given = NOT_EPHEMERAL.filter((field) =>
    field.endsWith("Probe") || field === "lifecycle" ? container[field] !== undefined : isSet(container[field]),
  );
  const mounts = (container.volumeMounts ?? []).flatMap((mount, i) =>
    (["subPath", "subPathExpr"] as const)
      .filter((field) => mount[field])
      .map((field) => forbiddenField(`${at}.volumeMounts[${i}].${field}`, detail)),
  );
  return [...given.map((field) => forbiddenField(`${at}.${field}`, detail)), ...mounts];
}

export function validateEphemeralContainers(context: ContainerContext, path: string): Causes {
  const { containers, initContainers = [], ephemeralContainers = [] } = context.spec;
  const others = new Set([...(containers ?? []), ...initContainers].map((c) => c.name ?? ""));
  const names = new Set(others);
  return ephemeralContainers.flatMap((container, i) => {
    const at = `${path}[${i}]`;
    const { name = "", targetContainerName: target } = container;
    const causes = [...validateCommon(container, at, context), ...validateImage(container, at)];
    if (names.has(name)) causes.push(duplicate(`${at}.name`, name));
    names.add(name);
    if (target && !others.has(target)) causes.push(notFoundValue(`${at}.targetContainerName`, target));
    return [...causes, ...validateEphemeral(container, at)];
  });
}

/** Only of pods: a template may be completed before it becomes one. */
export const validateImage = ({ image = "" }: { image?: string }, path: string): Causes =>
  image === image.trim() ? [] : [invalidValue(`${path}.image`, image, "must not have leading or trailing whitespace")];
