/** Addresses of load balancers: which ranges, which service has which. Kept as files: addresses/ADDRESS holds the owner. */
import { PluginFailure } from "#sdk/plugin/failure.ts";
import type { Host } from "./host.ts";
import { addressesIn, type Family, familyOf } from "./ranges.ts";

const FOLDER = "addresses";
const POOL_FOLDER = "pool";
/** Where the range is kept that was chosen because none is configured. */
const POOL_FILES: Record<Family, string> = { IPv4: "range", IPv6: "range6" };
/** Those that are looked at, with a number from 240 to 255 in them. */
const CHOICES: Record<Family, (number: number) => string> = {
  IPv4: (number) => `172.31.${number}.0/28`,
  IPv6: (number) => `fd00:172:31:${number}::/124`,
};

/** All addresses of a range, without its first and last where it has more than two. */
export function addressesOf(range: string): string[] {
  const all = addressesIn(range);
  if (all === undefined)
    throw new PluginFailure(
      "Invalid",
      `config.pool: ${JSON.stringify(range)} is not a range of at most 65536 addresses, such as 203.0.113.0/28 or fd00:203::/124`,
      422,
    );
  return all;
}

/** The range in use: the configured one, or one that was free when it was first needed. Empty where only the other family's is configured. */
export function poolOf(host: Host, family: Family): string[] {
  const { pool, link } = host.settings();
  if (pool !== "")
    return pool
      .split(",")
      .map((range) => range.trim())
      .filter((range) => familyOf(range) === family)
      .flatMap(addressesOf);
  const file = POOL_FILES[family];
  const chosen = host.files.list("state", POOL_FOLDER).includes(file)
    ? host.files.read("state", `${POOL_FOLDER}/${file}`).trim()
    : "";
  if (chosen !== "") return addressesOf(chosen);
  for (let number = 240; number < 256; number++) {
    const range = CHOICES[family](number);
    if (!isTaken(host, addressesOf(range)[0]!, link)) {
      host.files.write("state", `${POOL_FOLDER}/${file}`, `${range}\n`);
      return addressesOf(range);
    }
  }
  throw new PluginFailure(
    "ServiceUnavailable",
    `${CHOICES[family](240)} and those after it are in use on this host: set config.pool of the plugin to a free range`,
    503,
  );
}

/** Whether the host has a route to this address that is neither the default route nor ours. */
function isTaken(host: Host, address: string, link: string): boolean {
  const { exitCode, stdout, stderr } = host.run("ip", {
    args: ["-j", familyOf(address) === "IPv4" ? "-4" : "-6", "route", "show", "table", "all", "match", address],
  });
  if (exitCode !== 0) throw new PluginFailure("InternalError", `ip route show: ${stderr.trim()}`, 500);
  const routes = JSON.parse(stdout.trim() === "" ? "[]" : stdout) as { dst?: string; dev?: string }[];
  return routes.some(({ dst = "", dev }) => dst !== "default" && dst !== "::/0" && dev !== link);
}

/** Address → owner ("tenant:namespace:name"). */
export function assigned(host: Host): Map<string, string> {
  const names = host.files.list("state", FOLDER).filter((name) => /^[0-9.]+$|^[0-9a-f:]*:[0-9a-f:]*$/.test(name));
  return new Map(names.map((address) => [address, host.files.read("state", `${FOLDER}/${address}`).trim()]));
}

/** The owner's, of both families. */
export const addressesOfOwner = (host: Host, owner: string): string[] =>
  [...assigned(host)].flatMap(([address, who]) => (who === owner ? [address] : []));

/** The owner's address of a family: the one it has, the one it wishes (spec.loadBalancerIP), or the first that is free. */
export function allocate(host: Host, owner: string, family: Family, wish: string | undefined): string {
  const taken = assigned(host);
  const pool = poolOf(host, family);
  const has = addressesOfOwner(host, owner).find((one) => familyOf(one) === family);
  if (has !== undefined && pool.includes(has) && (!wish || wish === has)) return has;
  if (wish && !pool.includes(wish))
    throw new PluginFailure(
      "Invalid",
      `spec.loadBalancerIP ${wish} is not in the pool ${pool[0]} to ${pool.at(-1)}`,
      422,
    );
  if (wish && taken.has(wish) && taken.get(wish) !== owner)
    throw new PluginFailure("ServiceUnavailable", `spec.loadBalancerIP ${wish} belongs to another service`, 503);
  const address = wish || pool.find((candidate) => !taken.has(candidate));
  if (!address)
    throw new PluginFailure(
      "ServiceUnavailable",
      `all ${pool.length} addresses of the pool are in use: delete a load balancer or set config.pool of the plugin to a larger range`,
      503,
    );
  host.files.write("state", `${FOLDER}/${address}`, `${owner}\n`);
  return address;
}

export const release = (host: Host, address: string): void => host.files.remove("state", `${FOLDER}/${address}`);
