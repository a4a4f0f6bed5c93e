/**
 * Where an outer load balancer asks whether this node has endpoints of a service whose externalTrafficPolicy is Local: HTTP on the
 * service's healthCheckNodePort, any path; 200 where it has, 503 where it has none.
 */
import { createServer, type Server } from "node:http";
import { type Log, messageOf } from "#platform/base/log.ts";

export interface HealthCheck {
  port: number;
  namespace: string;
  name: string;
  localEndpoints: number;
}

export interface HealthServers {
  /** `undefined`: the service has none any more. */
  set(key: string, check: HealthCheck | undefined): void;
  close(): void;
}

const CONNECTIONS_MAX = 64;
const IDLE_MS = 5_000;

export function createHealthServers(log: Log): HealthServers {
  const checks = new Map<string, HealthCheck>();
  const servers = new Map<string, { port: number; server: Server }>();
  const open = (key: string, port: number) => {
    const server = createServer({ keepAliveTimeout: IDLE_MS, requestTimeout: IDLE_MS }, (_, response) => {
      const check = checks.get(key);
      const localEndpoints = check?.localEndpoints ?? 0;
      const body = {
        service: { namespace: check?.namespace, name: check?.name },
        localEndpoints,
        serviceProxyHealthy: true,
      };
      response.writeHead(localEndpoints > 0 ? 200 : 503, {
        "Content-Type": "application/json",
        "X-Content-Type-Options": "nosniff",
        "X-Load-Balancing-Endpoint-Weight": String(localEndpoints),
      });
      response.end(JSON.stringify(body));
    });
    server.maxConnections = CONNECTIONS_MAX;
    server.on("error", (error) =>
      log.warn("the health check port of a service cannot be served", { service: key, port, error: messageOf(error) }),
    );
    server.listen(port);
    servers.set(key, { port, server });
  };
  const shut = (key: string) => {
    const known = servers.get(key);
    servers.delete(key);
    known?.server.close();
    known?.server.closeAllConnections();
  };
  return {
    set(key, check) {
      if (check) checks.set(key, check);
      else checks.delete(key);
      if (servers.get(key)?.port === check?.port) return;
      shut(key);
      if (check) open(key, check.port);
    },
    close() {
      for (const key of [...servers.keys()]) shut(key);
    },
  };
}
