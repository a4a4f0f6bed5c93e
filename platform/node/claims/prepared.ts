/** Which claims drivers were asked to prepare on this node, and for which pods: kept in a file, so that a new agent has them unprepared, too. */
import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { z } from "zod";

const deviceShape = z.object({
  driver: z.string(),
  pool: z.string(),
  device: z.string(),
  /** Of the claim; none: all. */
  requests: z.array(z.string()),
  cdiDevices: z.array(z.string()),
});
const claimShape = z.object({
  tenant: z.string(),
  namespace: z.string(),
  name: z.string(),
  uid: z.string(),
  /** Uids of the pods on this node that use it. */
  pods: z.array(z.string()),
  drivers: z.array(z.string()),
  /** Undefined: not all of its drivers have answered. */
  devices: z.array(deviceShape).optional(),
});
export type PreparedClaim = z.infer<typeof claimShape>;
const fileShape = z.object({ claims: z.array(claimShape) });

export const claimKey = ({ tenant, namespace, name }: Pick<PreparedClaim, "tenant" | "namespace" | "name">): string =>
  `${tenant}/${namespace}/${name}`;

export class PreparedClaims {
  readonly #file: string;
  readonly #claims: Map<string, PreparedClaim>;

  constructor(file: string) {
    this.#file = file;
    this.#claims = new Map(read(file).map((claim) => [claimKey(claim), claim]));
  }
  get(key: string): PreparedClaim | undefined {
    return this.#claims.get(key);
  }
  of(podUid: string): PreparedClaim[] {
    return [...this.#claims.values()].filter(({ pods }) => pods.includes(podUid));
  }
  pods(): Set<string> {
    return new Set([...this.#claims.values()].flatMap(({ pods }) => pods));
  }
  /** Pods that use devices of this driver. */
  podsWith(driver: string): Set<string> {
    const of = [...this.#claims.values()].filter(({ drivers }) => drivers.includes(driver));
    return new Set(of.flatMap(({ pods }) => pods));
  }
  /** Returns when it is on the disk. */
  put(claim: PreparedClaim): void {
    this.#claims.set(claimKey(claim), claim);
    this.#write();
  }
  remove(claim: PreparedClaim): void {
    this.#claims.delete(claimKey(claim));
    this.#write();
  }
  /** Whole or not at all. */
  #write(): void {
    writeFileSync(`${this.#file}.tmp`, JSON.stringify({ claims: [...this.#claims.values()] }), { mode: 0o600 });
    renameSync(`${this.#file}.tmp`, this.#file);
  }
}

function read(file: string): PreparedClaim[] {
  try {
    return fileShape.parse(JSON.parse(readFileSync(file, "utf8"))).claims;
  } catch {
    return [];
  }
}
