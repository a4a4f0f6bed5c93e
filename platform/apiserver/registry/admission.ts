/** The admission port: declared here by its consumer, filled by platform/apiserver/admission, wired in main. */

import type { TenantId } from "#platform/store/port.ts";
import type { DynamicObject, GroupVersionKind } from "#sdk/api/object.ts";

/** A user is (tenant, name, groups). */
export interface UserInfo {
  tenant: TenantId;
  name: string;
  uid?: string;
  groups: readonly string[];
  extra?: Readonly<Record<string, readonly string[]>>;
}

export interface AdmissionAttributes {
  /** The tenant the object is in (not the user's). */
  tenant: TenantId;
  tenantName: string;
  operation: "CREATE" | "UPDATE" | "DELETE" | "CONNECT";
  kind: GroupVersionKind;
  resource: { group: string; version: string; resource: string };
  subresource: string;
  namespace: string;
  name: string;
  object?: DynamicObject;
  oldObject?: DynamicObject;
  dryRun: boolean;
  user: UserInfo;
  /** Becomes a Warning header, also of a request that is refused. */
  warn?(text: string): void;
  /** Becomes an annotation of the request's audit events. */
  annotate?(key: string, value: string): void;
  /** Ends with the request. */
  signal?: AbortSignal;
}

/** Denials throw StatusError (403 Forbidden by default). Warnings become Warning headers. */
export interface Admission {
  /** The object to go on with; the same one when nothing changed it. */
  mutate(attributes: AdmissionAttributes): Promise<{ object: DynamicObject | undefined; warnings: string[] }>;
  validate(attributes: AdmissionAttributes): Promise<{ warnings: string[] }>;
}
