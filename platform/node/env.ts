/** A container's environment, in upstream's order: services, envFrom, env; `$(NAME)` is expanded from what came before. */
import type { Container, EnvVar, Service } from "#sdk/api/generated/types.ts";
import { tenantOf } from "#sdk/client/port.ts";
import { allContainers, type NodeContext, type NodePod } from "./context.ts";
import { fieldValue, resourceValue } from "./fields.ts";
import type { References } from "./references.ts";

/** A reference is missing or unusable: CreateContainerConfigError, tried again at the next sync. */
export class ConfigError extends Error {
  override name = "CreateContainerConfigError";
}

type Environment = Map<string, string>;

/** third_party/forked/golang/expansion: `$$` is a dollar, an unknown `$(NAME)` stays as it is written. */
export function expand(text: string, lookup: (name: string) => string | undefined): string {
  return text.replace(/\$(?:\$|\(([^)]*)\))/g, (whole, name: string | undefined) =>
    whole === "$$" ? "$" : (lookup(name ?? "") ?? whole),
  );
}

const envName = (name: string): string => name.toUpperCase().replace(/-/g, "_");

/** kubelet/envvars: the variables that docker links had, for each service with an address. */
export function serviceVariables(services: Service[]): Environment {
  const variables: Environment = new Map();
  for (const service of services) {
    const ip = service.spec?.clusterIP;
    const ports = service.spec?.ports ?? [];
    const first = ports[0];
    if (ip === undefined || ip === "" || ip === "None" || first === undefined) continue;
    const prefix = envName(service.metadata.name ?? "");
    const host = ip.includes(":") ? `[${ip}]` : ip;
    variables.set(`${prefix}_SERVICE_HOST`, ip);
    variables.set(`${prefix}_SERVICE_PORT`, String(first.port));
    for (const port of ports)
      if (port.name) variables.set(`${prefix}_SERVICE_PORT_${envName(port.name)}`, String(port.port));
    ports.forEach((port, index) => {
      const protocol = port.protocol ?? "TCP";
      const url = `${protocol.toLowerCase()}://${host}:${port.port}`;
      if (index === 0) variables.set(`${prefix}_PORT`, url);
      const base = `${prefix}_PORT_${port.port}_${protocol}`;
      variables.set(base, url);
      variables.set(`${base}_PROTO`, protocol.toLowerCase());
      variables.set(`${base}_PORT`, String(port.port));
      variables.set(`${base}_ADDR`, ip);
    });
  }
  return variables;
}

function servicesFor(context: NodeContext, pod: NodePod): Environment {
  const tenant = tenantOf(pod);
  const master = context.services(tenant, "default").filter((one) => one.metadata.name === "kubernetes");
  const all = pod.spec.enableServiceLinks === false ? [] : context.services(tenant, pod.metadata.namespace);
  return serviceVariables([...master, ...all.filter((one) => !master.includes(one))]);
}

export async function environment(
  context: NodeContext,
  references: References,
  pod: NodePod,
  container: Container,
  podIPs: string[],
): Promise<Environment> {
  const result: Environment = new Map();
  const tenant = tenantOf(pod);
  const namespace = pod.metadata.namespace;
  for (const source of container.envFrom ?? []) {
    const [kind, ref] = source.configMapRef ? ["configmap", source.configMapRef] : ["secret", source.secretRef];
    if (ref?.name === undefined) continue;
    const data =
      kind === "configmap"
        ? (await references.configMap(tenant, namespace, ref.name))?.data
        : decodeSecret(await references.secret(tenant, namespace, ref.name));
    if (data === undefined && ref.optional !== true) {
      const object =
        kind === "configmap"
          ? await references.configMap(tenant, namespace, ref.name)
          : await references.secret(tenant, namespace, ref.name);
      if (object === undefined) throw new ConfigError(`${kind} "${ref.name}" not found`);
    }
    for (const [key, value] of Object.entries(data ?? {})) result.set(`${source.prefix ?? ""}${key}`, value);
  }
  const services = servicesFor(context, pod);
  for (const variable of container.env ?? []) {
    const value = await variableValue(
      variable,
      { context, references, pod, container, podIPs, tenant },
      (name) => result.get(name) ?? services.get(name),
    );
    if (value !== undefined) result.set(variable.name, value);
  }
  for (const [name, value] of services) if (!result.has(name)) result.set(name, value);
  return result;
}

const decodeSecret = (secret: { data?: Record<string, string> } | undefined): Record<string, string> | undefined =>
  secret?.data === undefined
    ? undefined
    : Object.fromEntries(
        Object.entries(secret.data).map(([key, value]) => [key, Buffer.from(value, "base64").toString("utf8")]),
      );

interface Scope {
  context: NodeContext;
  references: References;
  pod: NodePod;
  container: Container;
  podIPs: string[];
  tenant: string;
}

async function variableValue(
  variable: EnvVar,
  scope: Scope,
  lookup: (name: string) => string | undefined,
): Promise<string | undefined> {
  const from = variable.valueFrom;
  if (from === undefined) return expand(variable.value ?? "", lookup);
  const { context, references, pod, container, podIPs, tenant } = scope;
  if (from.fieldRef) return fieldValue(pod, from.fieldRef, context.settings, podIPs);
  if (from.resourceFieldRef) {
    const named = from.resourceFieldRef.containerName;
    const about = named ? (allContainers(pod).find((one) => one.name === named) ?? container) : container;
    return resourceValue(about, from.resourceFieldRef, context.machine);
  }
  const isMap = from.configMapKeyRef !== undefined;
  const ref = from.configMapKeyRef ?? from.secretKeyRef;
  if (ref?.name === undefined) return undefined;
  const read = isMap ? references.configMap : references.secret;
  const object = await read(tenant, pod.metadata.namespace, ref.name);
  const kind = isMap ? "configmap" : "secret";
  if (object === undefined) {
    if (ref.optional === true) return undefined;
    throw new ConfigError(`${kind} "${ref.name}" not found`);
  }
  const value = isMap ? object.data?.[ref.key] : decodeSecret(object)?.[ref.key];
  if (value === undefined && ref.optional !== true)
    throw new ConfigError(
      `couldn't find key ${ref.key} in ${isMap ? "ConfigMap" : "Secret"} ${pod.metadata.namespace}/${ref.name}`,
    );
  return value;
}
