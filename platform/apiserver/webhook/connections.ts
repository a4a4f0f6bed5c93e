/**
 * Connections to webhooks are kept for the next call: a handshake costs both sides more than most answers do. A tenant's are never
 * used for another's calls, and only so many wait.
 */
import type { ClientRequest } from "node:http";
import { Agent, type AgentOptions, type RequestOptions } from "node:https";
import type { Duplex } from "node:stream";
import type { TenantId } from "#platform/store/port.ts";

const IDLE_MS_MAX = 30_000;
const IDLE_MAX = 512;
const IDLE_FOR_ONE_TARGET_MAX = 64;

export interface PooledOptions extends RequestOptions {
  tenant?: TenantId;
}

export class WebhookConnections extends Agent {
  readonly #idle = new Set<Duplex>();
  readonly #seen = new WeakSet<Duplex>();

  constructor(options: AgentOptions = {}) {
    super({ keepAlive: true, maxFreeSockets: IDLE_FOR_ONE_TARGET_MAX, timeout: IDLE_MS_MAX, ...options });
  }

  /** Two requests may share a connection when this is the same: address, name and authority, and the tenant. */
  override getName(options?: PooledOptions): string {
    return `${options?.tenant ?? ""}|${super.getName(options)}`;
  }

  /** Node asks for the answer, though its types say that there is none. */
  override keepSocketAlive(socket: Duplex): boolean {
    if (this.#idle.size >= IDLE_MAX) return false;
    if (!this.#seen.has(socket)) socket.once("close", () => this.#idle.delete(socket));
    this.#seen.add(socket);
    this.#idle.add(socket);
    super.keepSocketAlive(socket);
    return true;
  }

  override reuseSocket(socket: Duplex, request: ClientRequest): void {
    this.#idle.delete(socket);
    super.reuseSocket(socket, request);
  }
}
