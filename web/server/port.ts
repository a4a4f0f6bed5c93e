/** What the console's server needs of its surroundings, and the words its rooms share. */
import type { Client } from "#sdk/client/port.ts";
import type { Transport } from "#sdk/client/transport.ts";

type Fields = Record<string, string | number | boolean | null | undefined>;
export interface ConsoleLog {
  info(message: string, fields?: Fields): void;
  warn(message: string, fields?: Fields): void;
  error(message: string, fields?: Fields): void;
}

export interface Identity {
  /** As the API server knows the user. */
  name: string;
  groups: string[];
  /** The tenant that the credential or kubeconfig points at; "" for the credential's own. */
  tenant: string;
  /** The kubeconfig's namespace, where it names one. */
  namespace: string;
}

/** A connection to the API server that carries the signed-in user's credential and no other. */
export interface UserConnection {
  identity: Identity;
  client: Client;
  /** For answers that never end (following logs). */
  transport: Transport;
  /** Headers that such a request needs: authority and credential. Never logged. */
  headers: Record<string, string>;
  close(): void;
}
