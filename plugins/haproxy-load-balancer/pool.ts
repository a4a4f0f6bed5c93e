/** Addresses of load balancers: which range, which service has which. Kept as files: addresses/A.B.C.D holds the owner. */
import { PluginFailure } from "#sdk/plugin/failure.ts";
import type { Host } from "./host.ts";

const FOLDER = "addresses";
const POOL_FOLDER = "pool";
const POOL_FILE = "range";
const PREFIX_MIN = 16;

const toNumber = (address: string) => address.split(".").reduce((sum, part) => sum * 256 + Number(part), 0);
const toText = (n: number) => [24, 16, 8, 0].map((shift) => Math.floor(n / 2 ** shift) % 256).join(".");

/** All addresses of a range, without its first and last where it has more than two. */
export function addressesOf(range: string): string[] {
  const [, address = "", prefixText = ""] = /^(\d{1,3}(?:\.\d{1,3}){3})\/(\d{1,2})$/.exec(range) ?? [];
  const prefix = Number(prefixText);
  if (address === "" || prefix < PREFIX_MIN || prefix > 32 || address.split(".").some((part) => Number(part) > 255))
    throw new PluginFailure(
      "Invalid",
      `config.pool: ${JSON.stringify(range)} is not an IPv4 range from /${PREFIX_MIN} to /32, such as 203.0.113.0/28`,
      422,
    );
  const size = 2 ** (32 - prefix);
  const base = toNumber(address) - (toNumber(address) % size);
  const all = Array.from({ length: size }, (_, i) => toText(base + i));
  return size > 2 ? all.slice(1, -1) : all;
}

/** The range in use: the configured one, or one that was free when it was first needed. */
export function poolOf(host: Host): string[] {
  const { pool, link } = host.settings();
  if (pool !== "") return addressesOf(pool);
  const chosen = host.files.list("state", POOL_FOLDER).includes(POOL_FILE)
    ? host.files.read("state", `${POOL_FOLDER}/${POOL_FILE}`).trim()
    : "";
  if (chosen !== "") return addressesOf(chosen);
  for (let third = 240; third < 256; third++) {
    const range = `172.31.${third}.0/28`;
    if (!isTaken(host, addressesOf(range)[0]!, link)) {
      host.files.write("state", `${POOL_FOLDER}/${POOL_FILE}`, `${range}\n`);
      return addressesOf(range);
    }
  }
  throw new PluginFailure(
    "ServiceUnavailable",
    "172.31.240.0/20 is in use on this host: set config.pool of the plugin to a free range",
    503,
  );
}

/** Whether the host has a route to this address that is neither the default route nor ours. */
function isTaken(host: Host, address: string, link: string): boolean {
  const { exitCode, stdout, stderr } = host.run("ip", {
    args: ["-j", "-4", "route", "show", "table", "all", "match", address],
  });
  if (exitCode !== 0) throw new PluginFailure("InternalError", `ip route show: ${stderr.trim()}`, 500);
  const routes = JSON.parse(stdout.trim() === "" ? "[]" : stdout) as { dst?: string; dev?: string }[];
  return routes.some((route) => route.dst !== "default" && route.dev !== link);
}

/** Address → owner ("tenant:namespace:name"). */
export function assigned(host: Host): Map<string, string> {
  const names = host.files.list("state", FOLDER).filter((name) => /^[0-9.]+$/.test(name));
  return new Map(names.map((address) => [address, host.files.read("state", `${FOLDER}/${address}`).trim()]));
}

export const addressOf = (host: Host, owner: string): string | undefined =>
  [...assigned(host)].find(([, who]) => who === owner)?.[0];

/** The owner's address: the one it has, the one it wishes (spec.loadBalancerIP), or the first that is free. */
export function allocate(host: Host, owner: string, wish: string | undefined): string {
  const taken = assigned(host);
  const pool = poolOf(host);
  const has = addressOf(host, owner);
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
