/** What the browser may ask for. Names go into URL paths, so their alphabets are narrow. */
import { z } from "zod";

const dnsName = (max: number) =>
  z
    .string()
    .max(max)
    .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/);

export const tenantInput = z.union([z.literal(""), dnsName(63)]);
export const namespaceInput = dnsName(63);
/** Object names may also carry ":" (RBAC). */
export const nameInput = z
  .string()
  .max(253)
  .regex(/^[A-Za-z0-9]([-A-Za-z0-9.:_]*[A-Za-z0-9])?$/);
export const resourceInput = z.object({
  group: z.union([z.literal(""), dnsName(253)]),
  version: z
    .string()
    .max(63)
    .regex(/^v[0-9]+((alpha|beta)[0-9]+)?$/),
  resource: z
    .string()
    .max(63)
    .regex(/^[a-z0-9]+$/),
});
export const selectorInput = z.string().max(1024);
