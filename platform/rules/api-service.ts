/**
 * The `kubernetes` service, by which pods reach their own tenant's API. In every tenant it has the first address of the services' range,
 * which the server's certificate names: which tenant a request belongs to follows from its credential. The address is root's, and root's
 * service is the one that is proxied.
 */
import { nthAddress, parseRange } from "./ranges.ts";

export const API_SERVICE = { namespace: "default", name: "kubernetes" } as const;

/** The first address of a range. Throws for what is none. */
export function firstAddress(cidr: string): string {
  const range = parseRange(cidr);
  if (!range) throw new Error(`${JSON.stringify(cidr)} is no range of addresses`);
  return nthAddress(range, 1n);
}

interface Named {
  metadata: { namespace?: string; name?: string };
  spec?: { clusterIP?: string };
}

/** Whether a service of a tenant other than root has root's address, as its `kubernetes` service may. */
export const borrowsApiAddress = ({ metadata, spec }: Named, isRoots: boolean, serviceCIDR: string): boolean =>
  !isRoots &&
  metadata.namespace === API_SERVICE.namespace &&
  metadata.name === API_SERVICE.name &&
  spec?.clusterIP === firstAddress(serviceCIDR);
