/**
 * The service proxy of a node that may change nothing on its machine: a listener for each TCP port of a service, on the loopback address that
 * belongs to its ClusterIP and, for node ports, on 127.0.0.1. A connection goes to a ready pod of this node, at the loopback address of its own.
 */
import { connect, createServer, type Server, type Socket } from "node:net";
import { type Log, messageOf } from "#platform/base/log.ts";
import { loopbackAddress } from "#platform/base/loopback.ts";
import { createInformer } from "#sdk/client/informer.ts";
import { type Client, keyOf, tenantOf } from "#sdk/client/port.ts";
import {
  type EndpointSlice,
  endpointSlices,
  PROXY_NAME_LABEL,
  SERVICE_NAME_LABEL,
  type Service,
  type ServicePort,
  services as servicesResource,
} from "../objects.ts";
import { backendsOf } from "../proxy/endpoints.ts";

export interface UserspaceProxyOptions {
  /** Its tenant is changed to the wildcard here. */
  client: Client;
  instance: string;
  nodeName: string;
  /** Whose pod of this node has an address; undefined: nobody's. A service leads to pods of its own tenant only. */
  tenantOfAddress(address: string): string | undefined;
  log: Log;
  signal: AbortSignal;
}

export interface UserspaceProxy {
  /** Resolves once there is a listener for every service that there was at the start. */
  ready: Promise<void>;
  /** Resolves when the signal has aborted and all listeners are closed. */
  stopped: Promise<void>;
}

const BY_SERVICE = "service";
const NODE_PORT_HOST = "127.0.0.1";
const CONNECT_MS_MAX = 5_000;
const CONNECTIONS_MAX = 1_000;
/** Somebody else's listener may go. */
const RETRY_MS = 10_000;

interface Listener {
  server: Server;
  sockets: Set<Socket>;
}

const serviceKeyOf = (slice: EndpointSlice): string =>
  `${tenantOf(slice)}/${slice.metadata.namespace ?? ""}/${slice.metadata.labels?.[SERVICE_NAME_LABEL] ?? ""}`;

/** "HOST:PORT" of what a service's port listens on. */
function placesOf(instance: string, { spec }: Service, { port, nodePort }: ServicePort): string[] {
  const clusterIP = spec?.clusterIP ?? "";
  const own = /^\d+\./.test(clusterIP) ? [`${loopbackAddress(instance, "services", clusterIP)}:${port}`] : [];
  return [...own, ...(nodePort ? [`${NODE_PORT_HOST}:${nodePort}`] : [])];
}

export function startUserspaceProxy(options: UserspaceProxyOptions): UserspaceProxy {
  const { instance, nodeName, log, signal } = options;
  const client = options.client.tenant("*");
  const services = createInformer<Service>(client, servicesResource, { log });
  const slices = createInformer<EndpointSlice>(client, endpointSlices, {
    log,
    labelSelector: SERVICE_NAME_LABEL,
    indexes: { [BY_SERVICE]: (slice) => [serviceKeyOf(slice)] },
  });
  /** By place. */
  const listeners = new Map<string, Listener>();
  /** What each service listens on, by its key. */
  const held = new Map<string, Set<string>>();
  const unheard = new Set<string>();

  const backend = (key: string, port: ServicePort): { host: string; port: number } | undefined => {
    const [tenant] = key.split("/");
    const usable = (address: string) => options.tenantOfAddress(address) === tenant;
    const { cluster } = backendsOf(port, slices.byIndex(BY_SERVICE, key), { nodeName, zone: "" }, usable);
    const chosen = cluster[Math.floor(Math.random() * cluster.length)];
    return chosen && { host: loopbackAddress(instance, "pods", chosen.address), port: chosen.port };
  };
  const listen = async (key: string, port: ServicePort, place: string): Promise<void> => {
    const sockets = new Set<Socket>();
    const server = createServer({ pauseOnConnect: true }, (socket) => {
      sockets.add(socket);
      socket.on("close", () => sockets.delete(socket));
      carry(socket, backend(key, port));
    });
    server.maxConnections = CONNECTIONS_MAX;
    const [host = "", number = ""] = place.split(":");
    listeners.set(place, { server, sockets });
    await new Promise<void>((resolve) => {
      server.once("error", (error) => {
        listeners.delete(place);
        if (!unheard.has(place))
          log.warn("a service cannot be listened for", { service: key, place, error: messageOf(error) });
        unheard.add(place);
        resolve();
      });
      server.listen(Number(number), host, () => {
        unheard.delete(place);
        resolve();
      });
    });
  };
  const close = (place: string) => {
    const listener = listeners.get(place);
    listeners.delete(place);
    unheard.delete(place);
    listener?.server.close();
    for (const socket of listener?.sockets ?? []) socket.destroy();
  };
  const sync = async (key: string): Promise<void> => {
    const service = services.get(key);
    const mine = service?.metadata.labels?.[PROXY_NAME_LABEL] === undefined ? service : undefined;
    const wanted = new Map(
      (mine?.spec?.ports ?? [])
        .filter(({ protocol = "TCP" }) => mine && protocol === "TCP")
        .flatMap((port) => (mine ? placesOf(instance, mine, port) : []).map((place) => [place, port] as const)),
    );
    for (const place of held.get(key) ?? []) if (!wanted.has(place)) close(place);
    if (wanted.size === 0) held.delete(key);
    else held.set(key, new Set(wanted.keys()));
    for (const [place, port] of wanted) if (!listeners.has(place)) await listen(key, port, place);
  };
  const changed = (service: Service) => void sync(keyOf(service));
  const run = async (ready: () => void): Promise<void> => {
    await Promise.all([services.start(signal), slices.start(signal)]);
    for (const service of services.list()) await sync(keyOf(service));
    services.on({
      added: changed,
      // A port's name or number may have changed under the same place.
      updated: (service, old) => {
        if (JSON.stringify(service.spec?.ports) !== JSON.stringify(old.spec?.ports))
          for (const place of held.get(keyOf(service)) ?? []) close(place);
        changed(service);
      },
      deleted: changed,
    });
    ready();
    const again = setInterval(() => {
      for (const [key, places] of held) if ([...places].some((place) => !listeners.has(place))) void sync(key);
    }, RETRY_MS);
    await new Promise<void>((resolve) =>
      signal.aborted ? resolve() : signal.addEventListener("abort", () => resolve()),
    );
    clearInterval(again);
    for (const place of [...listeners.keys()]) close(place);
  };
  let readied: () => void = () => undefined;
  const ready = new Promise<void>((resolve) => {
    readied = resolve;
  });
  return { ready, stopped: run(readied) };
}

function carry(socket: Socket, to: { host: string; port: number } | undefined): void {
  socket.on("error", () => socket.destroy());
  // As the kernel answers for a service without endpoints.
  if (to === undefined) return void socket.resetAndDestroy();
  const onward = connect({ ...to, timeout: CONNECT_MS_MAX });
  onward.on("timeout", () => (onward.connecting ? onward.destroy() : undefined));
  onward.on("error", () => socket.resetAndDestroy());
  socket.on("close", () => onward.destroy());
  onward.on("close", () => socket.destroy());
  onward.on("connect", () => {
    socket.pipe(onward);
    onward.pipe(socket);
  });
}
