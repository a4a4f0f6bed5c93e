/**
 * Pods and services without a network of their own: where nobody may make interfaces, their addresses exist in the API alone, and what they
 * serve is on loopback, which is all of 127.0.0.0/8: the last two numbers are the address's own, the second tells pods, services and instances apart.
 */

export type LoopbackRange = "pods" | "services";

const SECOND: Record<LoopbackRange, number> = { pods: 20, services: 130 };
/** Instances of one machine that do not meet, as far as hashing lets them. */
const INSTANCES = 100;

/** Where "10.244.0.7" of an instance (six hexadecimal digits) is served: "127.x.0.7". */
export function loopbackAddress(instance: string, range: LoopbackRange, address: string): string {
  const [, , third = "0", fourth = "0"] = address.split(".");
  return `127.${SECOND[range] + (Number.parseInt(instance, 16) % INSTANCES)}.${third}.${fourth}`;
}
